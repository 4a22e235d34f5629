// Convolutions and fully connected layers by their definition: a thread for each result, sums in f64. What the fast
// kernels are compared with on the device, and what is left to do where no fast kernel fits.
#include "reduce.cuh"

// What is negative is multiplied by the slope; with none, a number that is not one becomes zero, as on the CPU.
__device__ inline float rectified(float value, float slope) {
    return value > 0.0f ? value : slope == 0.0f ? 0.0f : slope * value;
}

struct Conv {
    int channels, h, w, filters, out_h, out_w, group, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w,
        dilation_h, dilation_w;
    Count pitch;  // elements from one output picture to the next
};

__device__ inline int in_group(const Conv& d) { return d.channels / d.group; }
__device__ inline int out_group(const Conv& d) { return d.filters / d.group; }

// (x, weights) -> y; `slope` multiplies what is negative.
KERNEL(plain_conv, (Conv d, Count n, float slope, const float* x, const float* weights, const float* bias, float* y)) {
    for EACH(i, n) {
        Count ox, oy, f, rest = divided(i, d.out_w, &ox);
        rest = divided(rest, d.out_h, &oy);
        Count picture = divided(rest, d.filters, &f);
        int channels = in_group(d), first = int(f) / out_group(d) * channels;
        double sum = bias ? bias[f] : 0.0f;
        for (int c = 0; c < channels; c++)
            for (int ky = 0; ky < d.kernel_h; ky++) {
                int iy = int(oy) * d.stride_h + ky * d.dilation_h - d.pad_h;
                if (iy < 0 || iy >= d.h) continue;
                for (int kx = 0; kx < d.kernel_w; kx++) {
                    int ix = int(ox) * d.stride_w + kx * d.dilation_w - d.pad_w;
                    if (ix < 0 || ix >= d.w) continue;
                    double w = weights[((f * channels + c) * d.kernel_h + ky) * d.kernel_w + kx];
                    sum += w * double(x[((picture * d.channels + first + c) * d.h + iy) * d.w + ix]);
                }
            }
        float value = float(sum);
        y[picture * d.pitch + (f * d.out_h + oy) * d.out_w + ox] = rectified(value, slope);
    }
}

// The transpose: (dy, weights) -> dx, `bias` one value for each channel of dx.
KERNEL(plain_conv_back, (Conv d, Count n, const float* dy, const float* weights, const float* bias, float* dx)) {
    for EACH(i, n) {
        Count ix, iy, c, rest = divided(i, d.w, &ix);
        rest = divided(rest, d.h, &iy);
        Count picture = divided(rest, d.channels, &c);
        int channels = in_group(d), filters = out_group(d), group = int(c) / channels;
        double sum = bias ? bias[c] : 0.0f;
        for (int k = 0; k < filters; k++) {
            Count f = group * filters + k;
            const float* of_filter = weights + (f * channels + c % channels) * d.kernel_h * d.kernel_w;
            const float* plane = dy + picture * d.pitch + f * d.out_h * d.out_w;
            for (int ky = 0; ky < d.kernel_h; ky++) {
                int down = int(iy) + d.pad_h - ky * d.dilation_h;
                if (down < 0 || down % d.stride_h != 0 || down / d.stride_h >= d.out_h) continue;
                for (int kx = 0; kx < d.kernel_w; kx++) {
                    int across = int(ix) + d.pad_w - kx * d.dilation_w;
                    if (across < 0 || across % d.stride_w != 0 || across / d.stride_w >= d.out_w) continue;
                    sum += double(of_filter[ky * d.kernel_w + kx]) *
                           double(plane[down / d.stride_h * d.out_w + across / d.stride_w]);
                }
            }
        }
        dx[i] = float(sum);
    }
}

// (x, dy) -> dw; a block for each weight.
KERNEL(plain_conv_weights_back, (Conv d, Count batch, Count n, uint32_t add, const float* x, const float* dy, float* dw)) {
    for (Count i = blockIdx.x; i < n; i += gridDim.x) {
        Count kx, ky, c, rest = divided(i, d.kernel_w, &kx);
        rest = divided(rest, d.kernel_h, &ky);
        Count f = divided(rest, in_group(d), &c);
        Count channel = f / out_group(d) * in_group(d) + c;
        double sum = 0.0;
        Count positions = Count(d.out_h) * d.out_w;
        for (Count p = threadIdx.x; p < batch * positions; p += blockDim.x) {
            Count at, ox, picture = divided(p, positions, &at), oy = divided(at, d.out_w, &ox);
            int iy = int(oy) * d.stride_h + int(ky) * d.dilation_h - d.pad_h;
            int ix = int(ox) * d.stride_w + int(kx) * d.dilation_w - d.pad_w;
            if (iy < 0 || iy >= d.h || ix < 0 || ix >= d.w) continue;
            sum += double(dy[picture * d.pitch + f * positions + at]) *
                   double(x[((picture * d.channels + channel) * d.h + iy) * d.w + ix]);
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) dw[i] = add ? dw[i] + float(sum) : float(sum);
    }
}

// A matrix with any steps between its rows and its columns.
struct Matrix {
    Count row, column;
};
// c (m, n) = a (m, k) b (k, n) [+ bias of each column] [+ c]; negative results times `slope`.
KERNEL(plain_product, (Count m, Count n, Count k, Matrix of_a, Matrix of_b, uint32_t add, float slope, const float* a,
                       const float* b, const float* bias, float* c)) {
    for EACH(i, m * n) {
        Count j, r = divided(i, n, &j);
        double sum = bias ? bias[j] : 0.0f;
        for (Count p = 0; p < k; p++) sum += double(a[r * of_a.row + p * of_a.column]) * double(b[p * of_b.row + j * of_b.column]);
        float value = float(sum);
        value = rectified(value, slope);
        c[i] = add ? c[i] + value : value;
    }
}
