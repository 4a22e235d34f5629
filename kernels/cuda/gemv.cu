// targets: compute_70
// Fully connected layers of a few rows: as fast as the weights can be read once.
//
// A warp makes two outputs of each row: its lanes read 16 bytes each, four times before the first is used.
#include "host/portable.cuh"

struct GemvDims {
    int rows, inputs, outputs;  // inputs are a multiple of 4
    int relu, has_bias;
    float slope;
};

namespace gemv {

__device__ inline float dot(float4 a, float4 b, float sum) {
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

template <int ROWS>
__device__ inline void rows(const GemvDims& d, const float* x, const float* w, const float* bias, float* y) {
    constexpr int AHEAD = 4;
    int lane = threadIdx.x % 32, first = (blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32) * 2;
    if (first >= d.outputs) return;
    int chunks = d.inputs / 4;
    const float4* w0 = reinterpret_cast<const float4*>(w + Count(first) * d.inputs);
    const float4* w1 = first + 1 < d.outputs ? w0 + chunks : w0;
    const float4* xs = reinterpret_cast<const float4*>(x);
    float sum[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = 0.0f;
    int at = lane;
    for (; at + 32 * (AHEAD - 1) < chunks; at += 32 * AHEAD) {
        float4 v0[AHEAD], v1[AHEAD];
#pragma unroll
        for (int u = 0; u < AHEAD; u++) v0[u] = __ldg(w0 + at + 32 * u), v1[u] = __ldg(w1 + at + 32 * u);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r >= d.rows) break;
#pragma unroll
            for (int u = 0; u < AHEAD; u++) {
                float4 in = __ldg(xs + Count(r) * chunks + at + 32 * u);
                sum[r][0] = dot(in, v0[u], sum[r][0]);
                sum[r][1] = dot(in, v1[u], sum[r][1]);
            }
        }
    }
    for (; at < chunks; at += 32) {
        float4 v0 = __ldg(w0 + at), v1 = __ldg(w1 + at);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r >= d.rows) break;
            float4 in = __ldg(xs + Count(r) * chunks + at);
            sum[r][0] = dot(in, v0, sum[r][0]);
            sum[r][1] = dot(in, v1, sum[r][1]);
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
            y[Count(r) * d.outputs + first + o] = d.relu && !(v > 0.0f) ? d.slope * v : v;
        }
}

}  // namespace gemv

#define GEMV(n)                                                                                                        \
    KERNEL(gemv_rows_##n, (const GemvDims d, const float* x, const float* w, const float* bias, float* y)) {           \
        gemv::rows<n>(d, x, w, bias, y);                                                                               \
    }
GEMV(1)
GEMV(2)
GEMV(4)
GEMV(8)
