// targets: sm_90a
// Convolutions and fully connected layers on Hopper's tensor cores. Pictures are (n, h, w, c), in f16, bf16 or TF32;
// sums are f32.
//
// Rows of the product are positions, its columns filters, and k runs over (window, channel) in slabs of 128 bytes.
// One thread of the first warpgroup has both operands' slabs copied into a ring of shared memory: the patches by a
// map that knows windows (nothing is laid out), the weights by a map of (filter, k). Two warpgroups multiply.
// A block takes one tile after the other, so the next tile's slabs arrive while this one's results are stored.
#include "hopper.cuh"

struct TensorConv {
    int positions, out_h, out_w;
    int groups, filters, channels;           // filters and channels of a group
    int kernel_w, taps;
    int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int slabs;                               // of a tap
    int tail;                                // products of 32 bytes in a tap's last slab
    int tiles_m, tiles_n;                    // of a group
    int splits, per_split;                   // the slabs of all taps are cut into ranges
    int row;                                 // elements from result row to result row
    int has_bias, relu;
    float slope;
    int to_f32;                              // results stay f32, and are not rounded
    Count next_split;                        // elements from partial result to partial result
};

namespace tensor {

// Slabs in flight: what 220 KiB of shared memory hold, but six at most.
template <int BM, int BN>
__device__ constexpr int stages() {
    return (220 << 10) / ((BM + BN) * 128) > 6 ? 6 : (220 << 10) / ((BM + BN) * 128);
}

// A tile's place, and its range of slabs.
struct Work {
    int first_m, first_n, group, split, begin, end;
    __device__ Work(const TensorConv& d, int number, int bm, int bn) {
        first_n = number % d.tiles_n * bn;
        number /= d.tiles_n;
        first_m = number % d.tiles_m * bm;
        number /= d.tiles_m;
        group = number % d.groups;
        split = number / d.groups;
        begin = split * d.per_split;
        end = min(begin + d.per_split, d.taps * d.slabs);
    }
};

// Sixteen bytes a lane: of the eight columns of four neighbouring fragments each lane of a quad holds two; then each
// holds one fragment whole.
__device__ inline void transpose_quad(uint32_t (&u)[4]) {
    int t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        uint32_t got = __shfl_xor_sync(~0u, t & 1 ? u[i] : u[i + 1], 1);
        if (t & 1) u[i] = got; else u[i + 1] = got;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t got = __shfl_xor_sync(~0u, t & 2 ? u[i] : u[i + 2], 2);
        if (t & 2) u[i] = got; else u[i + 2] = got;
    }
}

__device__ inline float finished(const TensorConv& d, float v, float bias) {
    v += bias;
    return d.relu && !(v > 0.0f) ? d.slope * v : v;
}

// 64 rows of results, `N` columns.
template <class T, int N>
__device__ inline void store(const TensorConv& d, const Work& w, const float (&sum)[N / 2], int first_row,
                             const float* bias, void* y) {
    int lane = threadIdx.x % 32, t = lane % 4, row = first_row + threadIdx.x % 128 / 32 * 16 + lane / 4;
    int column = w.group * d.filters;
#pragma unroll
    for (int i = 0; i < N / 2; i += 16) {  // 32 columns
        float b[8];
#pragma unroll
        for (int e = 0; e < 8; e++) {
            int n = w.first_n + i * 2 + e / 2 * 8 + 2 * t + e % 2;
            b[e] = d.has_bias && n < d.filters ? __ldg(bias + column + n) : 0.0f;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int m = row + 8 * half;
            float v[8];
#pragma unroll
            for (int e = 0; e < 8; e++) v[e] = finished(d, sum[i + e / 2 * 4 + half * 2 + e % 2], b[e]);
            if (T::BYTES == 4 || d.to_f32) {
                float* to = static_cast<float*>(y) + w.split * d.next_split + Count(m) * d.row + column;
#pragma unroll
                for (int e = 0; e < 8; e += 2) {
                    int n = w.first_n + i * 2 + e / 2 * 8 + 2 * t;
                    float2 pair = d.to_f32 ? make_float2(v[e], v[e + 1])
                                           : make_float2(float(T::to(T::from(v[e]))), float(T::to(T::from(v[e + 1]))));
                    if (m < d.positions && n < d.filters) *reinterpret_cast<float2*>(to + n) = pair;
                }
            } else {
                uint32_t u[4];
#pragma unroll
                for (int e = 0; e < 4; e++)
                    u[e] = uint32_t(T::from(v[2 * e])) | uint32_t(T::from(v[2 * e + 1])) << 16;
                transpose_quad(u);
                int n = w.first_n + i * 2 + 8 * t;
                uint16_t* to = static_cast<uint16_t*>(y) + Count(m) * d.row + column + n;
                if (m < d.positions && n < d.filters) *reinterpret_cast<uint4*>(to) = make_uint4(u[0], u[1], u[2], u[3]);
            }
        }
    }
}

template <class T, int MI, int BN>
__device__ inline void conv(const TensorConv& d, const TensorMap& patches, const TensorMap& weights, const float* bias,
                            void* y) {
    constexpr int BM = 128 * MI, STAGES = stages<BM, BN>(), SLAB = 128 / T::BYTES;
    DYNAMIC_SHARED(unsigned char, shared);
    unsigned char* a = shared;
    unsigned char* b = shared + STAGES * BM * 128;
    Barrier* full = reinterpret_cast<Barrier*>(b + STAGES * BN * 128);
    Barrier* empty = full + STAGES;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(full + s, 1);
            barrier_init(empty + s, 2);
        }
        barrier_init_fence();
    }
    __syncthreads();

    int works = d.tiles_n * d.tiles_m * d.groups * d.splits, stage = 0, phase = 0;
    if (threadIdx.x < 128) {
        registers_few();
        if (threadIdx.x != 0) return;
        for (int number = blockIdx.x; number < works; number += gridDim.x) {
            Work w(d, number, BM, BN);
            int plane = d.out_h * d.out_w, picture = w.first_m / plane, at = w.first_m % plane;
            int x = at % d.out_w * d.stride_w - d.pad_w, y = at / d.out_w * d.stride_h - d.pad_h;
            int tap = w.begin / d.slabs, slab = w.begin % d.slabs, tap_y = tap / d.kernel_w, tap_x = tap % d.kernel_w;
            for (int k = w.begin; k < w.end; k++) {
                barrier_wait(empty + stage, phase ^ 1);
                barrier_expect(full + stage, (BM + BN) * 128);
                copy_patches(a + stage * BM * 128, patches, full + stage, w.group * d.channels + slab * SLAB, x, y,
                             picture, tap_x * d.dilation_w, tap_y * d.dilation_h);
                copy_box(b + stage * BN * 128, weights, full + stage, k * SLAB, w.group * d.filters + w.first_n);
                if (++slab == d.slabs) {
                    slab = 0;
                    if (++tap_x == d.kernel_w) {
                        tap_x = 0;
                        tap_y++;
                    }
                }
                if (++stage == STAGES) stage = 0, phase ^= 1;
            }
        }
        return;
    }

    registers_many();
    int group = threadIdx.x / 128 - 1;
    for (int number = blockIdx.x; number < works; number += gridDim.x) {
        Work w(d, number, BM, BN);
        float sum[MI][BN / 2];
#pragma unroll
        for (int m = 0; m < MI; m++)
#pragma unroll
            for (int i = 0; i < BN / 2; i++) sum[m][i] = 0.0f;
        int slab = w.begin % d.slabs, before = -1;
        for (int k = w.begin; k < w.end; k++) {
            barrier_wait(full + stage, phase);
            int products = slab + 1 == d.slabs ? d.tail : 4;
            slab = slab + 1 == d.slabs ? 0 : slab + 1;
            Tile128 left = tile_128(a + stage * BM * 128 + group * MI * 64 * 128), right = tile_128(b + stage * BN * 128);
            group_fence();
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (i >= products) break;
#pragma unroll
                for (int m = 0; m < MI; m++)
                    group_product<T, BN>(sum[m], along(left, i + m * (64 * 128 / 32)), along(right, i));
            }
            group_commit();
            group_wait<1>();  // the products before these are done: their slabs may be overwritten
            if (before >= 0 && threadIdx.x % 128 == 0) barrier_arrive(empty + before);
            before = stage;
            if (++stage == STAGES) stage = 0, phase ^= 1;
        }
        group_wait<0>();
        if (threadIdx.x % 128 == 0) barrier_arrive(empty + before);
#pragma unroll
        for (int m = 0; m < MI; m++)
            store<T, BN>(d, w, sum[m], w.first_m + (group * MI + m) * 64, bias, y);
    }
}

}  // namespace tensor

#define TENSOR_CONV(name, T, MI, BN)                                                                                   \
    KERNEL_BOUNDED(384, 1, tensor_conv_##name,                                                                         \
                   (const __grid_constant__ TensorConv d, const __grid_constant__ TensorMap patches,                   \
                    const __grid_constant__ TensorMap weights, const float* bias, void* y)) {                          \
        tensor::conv<T, MI, BN>(d, patches, weights, bias, y);                                                         \
    }
#define TENSOR_CONVS(name, T)                                                                                          \
    TENSOR_CONV(name##_128x256, T, 1, 256)                                                                             \
    TENSOR_CONV(name##_256x128, T, 2, 128)                                                                             \
    TENSOR_CONV(name##_128x128, T, 1, 128)                                                                             \
    TENSOR_CONV(name##_256x64, T, 2, 64)                                                                               \
    TENSOR_CONV(name##_128x64, T, 1, 64)

TENSOR_CONVS(f16, F16)
TENSOR_CONVS(bf16, Bf16)
TENSOR_CONVS(tf32, Tf32)

struct TensorSum {
    Count rows, next_split;
    int row, splits, has_bias, relu, to_f32;
    float slope;
};

// The partial results in their order; four neighbours a thread.
#define TENSOR_SUM(name, T)                                                                                            \
    KERNEL(tensor_sum_##name, (const TensorSum d, const float* partial, const float* bias, void* y)) {                 \
        for EACH(i, d.rows * d.row / 4) {                                                                              \
            float v[4] = {0, 0, 0, 0};                                                                                 \
            for (int s = 0; s < d.splits; s++) {                                                                       \
                float4 p = *reinterpret_cast<const float4*>(partial + s * d.next_split + 4 * i);                       \
                v[0] += p.x, v[1] += p.y, v[2] += p.z, v[3] += p.w;                                                    \
            }                                                                                                          \
            for (int e = 0; e < 4; e++) {                                                                              \
                if (d.has_bias) v[e] += bias[(4 * i + e) % d.row];                                                     \
                if (d.relu && !(v[e] > 0.0f)) v[e] *= d.slope;                                                         \
                if (d.to_f32) static_cast<float*>(y)[4 * i + e] = v[e];                                                \
                else static_cast<T::Stored*>(y)[4 * i + e] = T::from(v[e]);                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
TENSOR_SUM(f16, F16)
TENSOR_SUM(bf16, Bf16)
TENSOR_SUM(tf32, Tf32)
