// Local response normalisation. The plain loops are in kernels/cpu/lrn.rs.
#include "reduce.cuh"

struct Lrn {
    int size;
    float alpha, beta, k;
};

// s^-beta; published networks have a beta of three quarters, which needs no logarithm.
__device__ inline float damped(const Lrn& p, float s) {
    return p.beta == 0.75f ? 1.0f / sqrtf(s * sqrtf(s)) : powf(s, -p.beta);
}

// s = k + alpha/n sum x_j^2 over the channels around c; `x` is a picture's position.
__device__ inline float scale(const Lrn& p, int channels, Count plane, const float* x, int c) {
    int before = (p.size - 1) / 2;
    float sum = 0.0f;
    for (int j = max(c - before, 0); j < min(c + p.size - before, channels); j++) {
        float v = x[j * plane];
        sum += v * v;
    }
    return p.k + p.alpha / float(p.size) * sum;
}

// A picture's position, and the channel of element i.
__device__ inline Count position(Count i, int channels, Count plane, int* c) {
    Count at, channel, rest = divided(i, plane, &at);
    Count picture = divided(rest, channels, &channel);
    *c = int(channel);
    return picture * channels * plane + at;
}

KERNEL(lrn_across, (Lrn p, int channels, Count plane, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        int c;
        Count first = position(i, channels, plane, &c);
        y[i] = x[i] * damped(p, scale(p, channels, plane, x + first, c));
    }
}

// dy y / s for every element.
KERNEL(lrn_ratios, (Lrn p, int channels, Count plane, Count n, const float* x, const float* y, const float* dy,
                    float* ratio)) {
    for EACH(i, n) {
        int c;
        Count first = position(i, channels, plane, &c);
        ratio[i] = dy[i] * y[i] / scale(p, channels, plane, x + first, c);
    }
}

KERNEL(lrn_across_back, (Lrn p, int channels, Count plane, Count n, const float* x, const float* ratio,
                         const float* dy, float* dx)) {
    int before = (p.size - 1) / 2;
    float factor = 2.0f * p.alpha * p.beta / float(p.size);
    for EACH(i, n) {
        int c;
        Count first = position(i, channels, plane, &c);
        float direct = dy[i] * damped(p, scale(p, channels, plane, x + first, c));
        float sum = 0.0f;
        for (int j = max(c + 1 + before - p.size, 0); j < min(c + before + 1, channels); j++)
            sum += ratio[first + j * plane];
        dx[i] = direct - factor * x[i] * sum;
    }
}

// The square window around a position of a plane of h x w, and its area with the padding that counts.
struct Square {
    int top, bottom, left, right, area;
};
__device__ inline Square square(int size, int h, int w, int y, int x) {
    int pad = (size - 1) / 2, down = min(y - pad + size, h + pad), across = min(x - pad + size, w + pad);
    return {max(y - pad, 0), min(down, h), max(x - pad, 0), min(across, w), (down - y + pad) * (across - x + pad)};
}
__device__ inline Count place(Count i, int h, int w, int* y, int* x) {
    Count column, row, line = divided(i, w, &column);
    Count plane = divided(line, h, &row);
    *y = int(row);
    *x = int(column);
    return plane * h * w;
}
__device__ inline float scale_within(const Lrn& p, int h, int w, const float* plane, int y, int x) {
    Square s = square(p.size, h, w, y, x);
    float sum = 0.0f;
    for (int r = s.top; r < s.bottom; r++)
        for (int c = s.left; c < s.right; c++) sum += plane[r * w + c] * plane[r * w + c];
    return 1.0f + p.alpha * (sum / float(s.area));
}

KERNEL(lrn_within, (Lrn p, int h, int w, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        int row, column;
        Count first = place(i, h, w, &row, &column);
        y[i] = x[i] * powf(scale_within(p, h, w, x + first, row, column), -p.beta);
    }
}

// dy y / s, and s.
KERNEL(lrn_within_ratios, (Lrn p, int h, int w, Count n, const float* x, const float* y, const float* dy, float* ratio,
                           float* scales)) {
    for EACH(i, n) {
        int row, column;
        Count first = place(i, h, w, &row, &column);
        scales[i] = scale_within(p, h, w, x + first, row, column);
        ratio[i] = dy[i] * y[i] / scales[i];
    }
}

KERNEL(lrn_within_back, (Lrn p, int h, int w, Count n, const float* x, const float* ratio, const float* scales,
                         const float* dy, float* dx)) {
    int pad = (p.size - 1) / 2;
    float factor = 2.0f * p.alpha * p.beta;
    for EACH(i, n) {
        int row, column;
        Count first = place(i, h, w, &row, &column);
        float sum = 0.0f;
        for (int r = max(row + pad - p.size + 1, 0); r <= min(row + pad, h - 1); r++)
            for (int c = max(column + pad - p.size + 1, 0); c <= min(column + pad, w - 1); c++)
                sum += ratio[first + r * w + c] / float(square(p.size, h, w, r, c).area);
        dx[i] = dy[i] * powf(scales[i], -p.beta) - factor * x[i] * sum;
    }
}
