// targets: compute_70
// Winograd's convolution F(4x4, 3x3) in f32: 3 x 3 windows one after the other, a quarter of the multiplications.
//
// A tile of 4 x 4 results needs 6 x 6 inputs. Inputs (c, tile) and weights (c, f) are transformed into 36 planes;
// gemm.cu multiplies plane by plane; the sums (f, tile) are transformed back. Matrices from Lavin and Gray (2015),
// "Fast Algorithms for Convolutional Neural Networks". A plan takes as many pictures at a time as stay in the cache.
#include "host/portable.cuh"

struct WinogradShape {
    int channels, filters;          // channels of the input, filters of the output
    int in_h, in_w, out_h, out_w;
    int pad_h, pad_w;
    int tiles_w, tiles;             // across a picture, and in a picture
    int row;                        // tiles of all pictures, rounded up to 4: a row of a plane
    int first, pictures;            // which pictures
    int has_bias, relu;
    float slope;
    Count pitch_x, pitch_y;         // elements from picture to picture
};

namespace winograd {

// Transposed B times a column.
__device__ inline void input(const float (&d)[6], float (&v)[6]) {
    float even = fmaf(-4.0f, d[2], d[4]), odd = fmaf(-4.0f, d[1], d[3]);
    float outer = d[4] - d[2], inner = 2.0f * (d[3] - d[1]);
    v[0] = fmaf(4.0f, d[0], fmaf(-5.0f, d[2], d[4]));
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = outer + inner;
    v[4] = outer - inner;
    v[5] = fmaf(4.0f, d[1], fmaf(-5.0f, d[3], d[5]));
}
// Transposed A times a column.
__device__ inline void output(const float (&m)[6], float (&y)[4]) {
    float a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    y[0] = m[0] + a + c;
    y[1] = fmaf(2.0f, d, b);
    y[2] = fmaf(4.0f, c, a);
    y[3] = fmaf(8.0f, d, b) + m[5];
}
// G times a column.
__device__ inline void weights(const float (&g)[3], float (&u)[6]) {
    float sum = g[0] + g[2], far = fmaf(4.0f, g[2], g[0]);
    u[0] = g[0] / 4.0f;
    u[1] = -(sum + g[1]) / 6.0f;
    u[2] = -(sum - g[1]) / 6.0f;
    u[3] = fmaf(2.0f, g[1], far) / 24.0f;
    u[4] = fmaf(-2.0f, g[1], far) / 24.0f;
    u[5] = g[2];
}

}  // namespace winograd

// Planes (36, channels, row) of a range of pictures.
KERNEL(winograd_input, (const WinogradShape d, const float* x, float* planes)) {
    Count plane = Count(d.channels) * d.row;
    for EACH(at, plane) {
        int tile = at % d.row, c = at / d.row, picture = tile / d.tiles;
        float v[6][6];
        if (picture < d.pictures) {
            int y0 = tile % d.tiles / d.tiles_w * 4 - d.pad_h, x0 = tile % d.tiles % d.tiles_w * 4 - d.pad_w;
            const float* from = x + (d.first + picture) * d.pitch_x + Count(c) * d.in_h * d.in_w;
#pragma unroll
            for (int j = 0; j < 6; j++) {
                float column[6], t[6];
#pragma unroll
                for (int i = 0; i < 6; i++) {
                    int iy = y0 + i, ix = x0 + j;
                    bool there = unsigned(iy) < unsigned(d.in_h) && unsigned(ix) < unsigned(d.in_w);
                    column[i] = there ? __ldg(from + iy * d.in_w + ix) : 0.0f;
                }
                winograd::input(column, t);
#pragma unroll
                for (int i = 0; i < 6; i++) v[i][j] = t[i];
            }
        }
#pragma unroll
        for (int i = 0; i < 6; i++) {
            float t[6] = {0, 0, 0, 0, 0, 0};
            if (picture < d.pictures) winograd::input(v[i], t);
#pragma unroll
            for (int j = 0; j < 6; j++) planes[(i * 6 + j) * plane + at] = t[j];
        }
    }
}

// From planes (36, filters, row) to the same pictures' results.
KERNEL(winograd_output, (const WinogradShape d, const float* planes, const float* bias, float* y)) {
    Count plane = Count(d.filters) * d.row;
    for EACH(at, plane) {
        int tile = at % d.row, f = at / d.row, picture = tile / d.tiles;
        if (picture >= d.pictures) continue;
        float v[4][6];
#pragma unroll
        for (int j = 0; j < 6; j++) {
            float column[6], t[4];
#pragma unroll
            for (int i = 0; i < 6; i++) column[i] = __ldg(planes + (i * 6 + j) * plane + at);
            winograd::output(column, t);
#pragma unroll
            for (int i = 0; i < 4; i++) v[i][j] = t[i];
        }
        float b = d.has_bias ? bias[f] : 0.0f;
        int y0 = tile % d.tiles / d.tiles_w * 4, x0 = tile % d.tiles % d.tiles_w * 4;
        float* to = y + (d.first + picture) * d.pitch_y + (Count(f) * d.out_h + y0) * d.out_w + x0;
        bool wide = d.out_w % 4 == 0 && Count(to) % 16 == 0;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (y0 + i >= d.out_h) break;
            float t[4];
            winograd::output(v[i], t);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                t[j] += b;
                if (d.relu && !(t[j] > 0.0f)) t[j] *= d.slope;
            }
            if (wide) {
                *reinterpret_cast<float4*>(to + i * d.out_w) = make_float4(t[0], t[1], t[2], t[3]);
            } else {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (x0 + j < d.out_w) to[i * d.out_w + j] = t[j];
            }
        }
    }
}

// Weights (filters, channels, 3, 3) become planes (36, channels, row); for input gradients (`back`) the weights are
// (channels, filters, 3, 3), turned by half a circle.
KERNEL(winograd_pack, (int channels, int filters, int row, int back, const float* w, float* planes)) {
    Count plane = Count(channels) * row;
    for EACH(at, plane) {
        int f = at % row, c = at / row;
        float g[3][3], u[6][3];
#pragma unroll
        for (int i = 0; i < 9; i++) {
            Count from = back ? (Count(c) * filters + f) * 9 + 8 - i : (Count(f) * channels + c) * 9 + i;
            g[i / 3][i % 3] = f < filters ? w[from] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < 3; j++) {
            float column[3] = {g[0][j], g[1][j], g[2][j]}, t[6];
            winograd::weights(column, t);
#pragma unroll
            for (int i = 0; i < 6; i++) u[i][j] = t[i];
        }
#pragma unroll
        for (int i = 0; i < 6; i++) {
            float t[6];
            winograd::weights(u[i], t);
#pragma unroll
            for (int j = 0; j < 6; j++) planes[(i * 6 + j) * plane + at] = t[j];
        }
    }
}
