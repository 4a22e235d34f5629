// targets: compute_70
// What lies between products, on (n, h, w, c) in the tensor cores' numbers: a thread makes sixteen bytes.
#include "numbers.cuh"

struct NhwcPool {
    int batch, row, in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    int average;
};

namespace nhwc {

// Caffe's: windows are clipped to the picture; means are over the window clipped to the padded picture.
template <class T>
__device__ inline void pool(const NhwcPool& d, const typename T::Stored* x, typename T::Stored* y) {
    constexpr int LEN = Chunk<T>::LEN;
    int chunks = d.row / LEN;
    for EACH(at, Count(d.batch) * d.out_h * d.out_w * chunks) {
        int chunk = at % chunks, pixel = at / chunks % (d.out_h * d.out_w);
        Count picture = at / chunks / (d.out_h * d.out_w);
        int y0 = pixel / d.out_w * d.stride_h - d.pad_h, x0 = pixel % d.out_w * d.stride_w - d.pad_w;
        int y1 = min(y0 + d.kernel_h, d.in_h + d.pad_h), x1 = min(x0 + d.kernel_w, d.in_w + d.pad_w);
        float area = float((y1 - y0) * (x1 - x0));
        y0 = max(y0, 0), x0 = max(x0, 0), y1 = min(y1, d.in_h), x1 = min(x1, d.in_w);
        Chunk<T> out;
#pragma unroll
        for (int e = 0; e < LEN; e++) out.v[e] = d.average ? 0.0f : -3.402823466e38f;
        for (int iy = y0; iy < y1; iy++)
            for (int ix = x0; ix < x1; ix++) {
                Chunk<T> in;
                in.load(x + ((picture * d.in_h + iy) * d.in_w + ix) * d.row + chunk * LEN);
#pragma unroll
                for (int e = 0; e < LEN; e++)
                    out.v[e] = d.average ? out.v[e] + in.v[e] : in.v[e] > out.v[e] ? in.v[e] : out.v[e];
            }
        if (d.average)
#pragma unroll
            for (int e = 0; e < LEN; e++) out.v[e] /= area;
        out.store(y + at * LEN);
    }
}

}  // namespace nhwc

struct NhwcLrn {
    Count pixels;
    int row, channels, size;
    float alpha_over_size, beta, k;
};

namespace nhwc {

// Local response normalisation across channels, whose neighbourhood reaches four channels at most to each side.
template <class T>
__device__ inline void lrn(const NhwcLrn& d, const typename T::Stored* x, typename T::Stored* y) {
    constexpr int LEN = Chunk<T>::LEN, REACH = 4;
    int chunks = d.row / LEN, half = d.size / 2;
    for EACH(at, d.pixels * chunks) {
        int first = at % chunks * LEN;
        const typename T::Stored* pixel = x + at / chunks * d.row;
        float v[LEN + 2 * REACH];
        Chunk<T> own;
        own.load(pixel + first);
#pragma unroll
        for (int e = 0; e < LEN + 2 * REACH; e++) {
            int c = first + e - REACH;
            if (e >= REACH && e < REACH + LEN) v[e] = own.v[e - REACH];
            else v[e] = c >= first - half && c < first + LEN + half && c >= 0 && c < d.channels ? T::to(pixel[c]) : 0.0f;
        }
#pragma unroll
        for (int e = 0; e < LEN; e++) {
            float sum = 0.0f;
#pragma unroll
            for (int o = -REACH; o <= REACH; o++)
                if (o >= -half && o <= half) sum = fmaf(v[e + REACH + o], v[e + REACH + o], sum);
            own.v[e] = v[e + REACH] * exp2f(-d.beta * log2f(fmaf(d.alpha_over_size, sum, d.k)));
        }
        own.store(y + at * LEN);
    }
}

}  // namespace nhwc

#define NHWC(name, T)                                                                                                  \
    KERNEL(nhwc_pool_##name, (const NhwcPool d, const T::Stored* x, T::Stored* y)) { nhwc::pool<T>(d, x, y); }         \
    KERNEL(nhwc_lrn_##name, (const NhwcLrn d, const T::Stored* x, T::Stored* y)) { nhwc::lrn<T>(d, x, y); }
FOR_EACH_NUMBER(NHWC)

// Fully connected layers of a few rows: weights (outputs, inputs) packed in the same numbers, read once.
struct NhwcGemv {
    int rows, inputs, outputs, has_bias, relu, to_f32;
    float slope;
};

namespace nhwc {

// A warp makes two outputs of each row.
template <class T, int ROWS>
__device__ inline void gemv(const NhwcGemv& d, const typename T::Stored* x, const typename T::Stored* w,
                            const float* bias, void* y) {
    constexpr int LEN = Chunk<T>::LEN, AHEAD = 4;
    int lane = threadIdx.x % 32, first = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * 2;
    if (first >= d.outputs) return;
    const typename T::Stored* rows[2] = {w + Count(first) * d.inputs,
                                         w + Count(min(first + 1, d.outputs - 1)) * d.inputs};
    float sum[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = 0.0f;
    for (int at = lane * LEN; at < d.inputs; at += 32 * LEN * AHEAD) {
        uint4 raw[AHEAD][2];
#pragma unroll
        for (int u = 0; u < AHEAD; u++)
#pragma unroll
            for (int o = 0; o < 2; o++) {
                int from = at + 32 * LEN * u;
                raw[u][o] = from < d.inputs ? __ldg(reinterpret_cast<const uint4*>(rows[o] + from)) : make_uint4(0, 0, 0, 0);
            }
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            int from = at + 32 * LEN * u;
            if (from >= d.inputs) break;
            union {
                uint4 whole;
                typename T::Stored part[LEN];
            } w0, w1;
            w0.whole = raw[u][0], w1.whole = raw[u][1];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                if (r >= d.rows) break;
                Chunk<T> in;
                in.load(x + Count(r) * d.inputs + from);
#pragma unroll
                for (int e = 0; e < LEN; e++) {
                    sum[r][0] = fmaf(in.v[e], T::to(w0.part[e]), sum[r][0]);
                    sum[r][1] = fmaf(in.v[e], T::to(w1.part[e]), sum[r][1]);
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int o = 0; o < 2; o++) {
            float v = sum[r][o];
            for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(~0u, v, apart);
            if (lane != 0 || r >= d.rows || first + o >= d.outputs) continue;
            if (d.has_bias) v += bias[first + o];
            if (d.relu && !(v > 0.0f)) v *= d.slope;
            Count to = Count(r) * d.outputs + first + o;
            if (d.to_f32) static_cast<float*>(y)[to] = v;
            else static_cast<typename T::Stored*>(y)[to] = T::from(v);
        }
}

}  // namespace nhwc

#define NHWC_GEMV(name, T)                                                                                             \
    KERNEL(nhwc_gemv_1_##name, (const NhwcGemv d, const T::Stored* x, const T::Stored* w, const float* b, void* y)) {  \
        nhwc::gemv<T, 1>(d, x, w, b, y);                                                                               \
    }                                                                                                                  \
    KERNEL(nhwc_gemv_8_##name, (const NhwcGemv d, const T::Stored* x, const T::Stored* w, const float* b, void* y)) {  \
        nhwc::gemv<T, 8>(d, x, w, b, y);                                                                               \
    }
FOR_EACH_NUMBER(NHWC_GEMV)
