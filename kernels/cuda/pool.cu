// Pooling over planes. The plain loops, and the rules for windows at the border, are in kernels/cpu/pool.rs.
#include "reduce.cuh"

struct Pool {
    int h, w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
};

// Rows (or columns) that a window covers inside the picture, and its length for the average.
struct Range {
    int begin, end, length;
};
__device__ inline Range clip(int at, int size, int kernel, int stride, int pad) {
    int start = at * stride - pad, padded = min(start + kernel, size + pad);
    int end = max(min(padded, size), 0);
    return {min(max(start, 0), end), end, max(padded - start, 0)};
}
__device__ inline Range rows_of(const Pool& d, int oy) { return clip(oy, d.h, d.kernel_h, d.stride_h, d.pad_h); }
__device__ inline Range columns_of(const Pool& d, int ox) { return clip(ox, d.w, d.kernel_w, d.stride_w, d.pad_w); }

constexpr float LEAST = -3.402823466e38f;

// The first maximum of a window: its value, and its place in the plane or -1.
__device__ inline float best(const Pool& d, const float* plane, Range rows, Range columns, int* place) {
    float top = LEAST;
    *place = -1;
    for (int r = rows.begin; r < rows.end; r++)
        for (int c = columns.begin; c < columns.end; c++) {
            float v = plane[r * d.w + c];
            if (v > top) {
                top = v;
                *place = r * d.w + c;
            }
        }
    return top;
}

// Where output i lies.
struct Where {
    Count plane;
    int oy, ox;
};
__device__ inline Where where(Count i, int height, int width) {
    Count x, y;
    Count line = divided(i, width, &x);
    Count plane = divided(line, height, &y);
    return {plane, int(y), int(x)};
}

KERNEL(max_pool, (Pool d, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        Where o = where(i, d.out_h, d.out_w);
        int place;
        y[i] = best(d, x + o.plane * d.h * d.w, rows_of(d, o.oy), columns_of(d, o.ox), &place);
    }
}

KERNEL(max_pool_index, (Pool d, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        Where o = where(i, d.out_h, d.out_w);
        int place;
        best(d, x + o.plane * d.h * d.w, rows_of(d, o.oy), columns_of(d, o.ox), &place);
        y[i] = float(place);
    }
}

// The same as whole numbers, for the gradient.
KERNEL(max_pool_places, (Pool d, Count n, const float* x, int* places)) {
    for EACH(i, n) {
        Where o = where(i, d.out_h, d.out_w);
        best(d, x + o.plane * d.h * d.w, rows_of(d, o.oy), columns_of(d, o.ox), &places[i]);
    }
}

KERNEL(ave_pool, (Pool d, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        Where o = where(i, d.out_h, d.out_w);
        Range rows = rows_of(d, o.oy), columns = columns_of(d, o.ox);
        const float* plane = x + o.plane * d.h * d.w;
        float sum = 0.0f;
        for (int r = rows.begin; r < rows.end; r++)
            for (int c = columns.begin; c < columns.end; c++) sum += plane[r * d.w + c];
        y[i] = sum / float(rows.length * columns.length);
    }
}

// The windows that hold row (or column) `at`: from the first whose end is behind it to the last that begins before.
__device__ inline Range windows(int at, int kernel, int stride, int pad, int outputs) {
    int padded = at + pad;
    int first = padded < kernel ? 0 : (padded - kernel) / stride + 1;
    return {first, min(padded / stride + 1, outputs), 0};
}

// Every input gathers from the windows that hold it, in their order: no two threads add to one number.
KERNEL(max_pool_back, (Pool d, Count n, const int* places, const float* dy, float* dx)) {
    for EACH(i, n) {
        Where in = where(i, d.h, d.w);
        Range ys = windows(in.oy, d.kernel_h, d.stride_h, d.pad_h, d.out_h);
        Range xs = windows(in.ox, d.kernel_w, d.stride_w, d.pad_w, d.out_w);
        Count outputs = in.plane * d.out_h * d.out_w;
        int own = in.oy * d.w + in.ox;
        float sum = 0.0f;
        for (int oy = ys.begin; oy < ys.end; oy++)
            for (int ox = xs.begin; ox < xs.end; ox++) {
                Count at = outputs + oy * d.out_w + ox;
                if (places[at] == own) sum += dy[at];
            }
        dx[i] = sum;
    }
}

KERNEL(ave_pool_back, (Pool d, Count n, const float* dy, float* dx)) {
    for EACH(i, n) {
        Where in = where(i, d.h, d.w);
        Range ys = windows(in.oy, d.kernel_h, d.stride_h, d.pad_h, d.out_h);
        Range xs = windows(in.ox, d.kernel_w, d.stride_w, d.pad_w, d.out_w);
        Count outputs = in.plane * d.out_h * d.out_w;
        float sum = 0.0f;
        for (int oy = ys.begin; oy < ys.end; oy++)
            for (int ox = xs.begin; ox < xs.end; ox++) {
                int area = rows_of(d, oy).length * columns_of(d, ox).length;
                sum += dy[outputs + oy * d.out_w + ox] / float(area);
            }
        dx[i] = sum;
    }
}
