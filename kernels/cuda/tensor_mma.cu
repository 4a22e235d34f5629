// targets: compute_80
// Convolutions and fully connected layers on tensor cores, a warp at a time: from Ampere on.
//
// Slabs come by asynchronous copies of 16 bytes, swizzled so that eight rows' chunks lie in different banks; ldmatrix
// makes fragments of them. Sixteen bytes of a row hold eight 16-bit numbers or four TF32 ones, and the fragments of
// both kinds ask for the same bytes: one loop serves all.
#include "tensor.cuh"

namespace tensor {

constexpr int MMA_STAGES = 3;

template <class T>
struct Mma;
template <>
struct Mma<F16> {
    __device__ static void run(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_f16(d, a, b); }
};
template <>
struct Mma<Bf16> {
    __device__ static void run(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_bf16(d, a, b); }
};
template <>
struct Mma<Tf32> {
    __device__ static void run(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_tf32(d, a, b); }
};

// Where chunk c of row r lies in a slab.
__device__ inline int chunk_at(int r, int c) { return r * 128 + ((c ^ r % 8) << 4); }

// Brings slabs of patches: a thread brings one chunk of every row that it owns.
template <class T, int ROWS, int THREADS>
struct SlabPatches {
    static constexpr int STEP = THREADS / 8, OWN = ROWS / STEP, LEN = 16 / T::BYTES;
    const typename T::Stored* p[OWN];
    int y[OWN], x[OWN];

    __device__ SlabPatches(const TensorConv& d, const typename T::Stored* pictures, const Work& w) {
        int plane = d.out_h * d.out_w;
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            int position = w.first_m + threadIdx.x / 8 + j * STEP, at = position % plane;
            y[j] = position < d.positions ? at / d.out_w * d.stride_h - d.pad_h : -(1 << 30);
            x[j] = at % d.out_w * d.stride_w - d.pad_w;
            Count pixel = (Count(position / plane) * d.in_h + (position < d.positions ? y[j] : 0)) * d.in_w + x[j];
            p[j] = pictures + pixel * d.row_in + w.group * d.channels + threadIdx.x % 8 * LEN;
        }
    }
    __device__ void load(const TensorConv& d, unsigned char* slab, int tap_y, int tap_x, int channel) {
        int chunk = threadIdx.x % 8;
        bool channels = channel + chunk * LEN < d.channels;
        Count shift = (Count(tap_y) * d.in_w + tap_x) * d.row_in + channel;
#pragma unroll
        for (int j = 0; j < OWN; j++) {
            bool valid = channels && unsigned(y[j] + tap_y) < unsigned(d.in_h) && unsigned(x[j] + tap_x) < unsigned(d.in_w);
            cp_async_16(slab + chunk_at(threadIdx.x / 8 + j * STEP, chunk), p[j] + shift, valid ? 16 : 0);
        }
    }
};

// Brings slabs of weights.
template <class T, int ROWS, int THREADS>
struct SlabWeights {
    static constexpr int STEP = THREADS / 8;
    const unsigned char* p;
    Count row;
    int rest;

    __device__ SlabWeights(const TensorConv& d, const typename T::Stored* packed, const Work& w)
        : row(Count(d.taps) * d.slabs * 128), rest(d.filters - w.first_n - int(threadIdx.x / 8)) {
        int first = w.group * d.filters + w.first_n + threadIdx.x / 8;
        p = reinterpret_cast<const unsigned char*>(packed) + first * row + threadIdx.x % 8 * 16;
    }
    __device__ void load(unsigned char* slab, int k) {
        const unsigned char* from = p + Count(k) * 128;
#pragma unroll
        for (int j = 0; j < ROWS / STEP; j++) {
            cp_async_16(slab + chunk_at(threadIdx.x / 8 + j * STEP, threadIdx.x % 8), from, j * STEP < rest ? 16 : 0);
            from += STEP * row;
        }
    }
};

// A block's tile is BM x BN, a warp's WM x WN.
template <class T, int BM, int BN, int WM, int WN>
__device__ inline void conv(const TensorConv& d, const typename T::Stored* x, const typename T::Stored* packed,
                            const float* bias, void* y) {
    constexpr int THREADS = BM / WM * (BN / WN) * 32, BYTES = (BM + BN) * 128;
    DYNAMIC_SHARED(unsigned char, shared);
    Work w(d, blockIdx.x, BM, BN);
    SlabPatches<T, BM, THREADS> patches(d, x, w);
    SlabWeights<T, BN, THREADS> weights(d, packed, w);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int warp_m = warp % (BM / WM) * WM, warp_n = warp / (BM / WM) * WN;

    int slab = w.begin % d.slabs, tap_y = w.begin / d.slabs / d.kernel_w, tap_x = w.begin / d.slabs % d.kernel_w;
    auto load = [&](int k, int stage) {
        if (k < w.end) {
            unsigned char* to = shared + stage * BYTES;
            patches.load(d, to, tap_y * d.dilation_h, tap_x * d.dilation_w, slab * (128 / T::BYTES));
            weights.load(to + BM * 128, k);
            if (++slab == d.slabs) {
                slab = 0;
                if (++tap_x == d.kernel_w) tap_x = 0, tap_y++;
            }
        }
        cp_async_commit();
    };
    float sum[WM / 16][WN / 2];
#pragma unroll
    for (int m = 0; m < WM / 16; m++)
#pragma unroll
        for (int i = 0; i < WN / 2; i++) sum[m][i] = 0.0f;
    for (int s = 0; s < MMA_STAGES - 1; s++) load(w.begin + s, s);
    // Rows and chunks that this lane gives ldmatrix: of 16 rows of a, of 16 rows of b.
    int row_a = warp_m + lane % 16, side_a = lane / 16, row_b = warp_n + lane / 16 * 8 + lane % 8, side_b = lane / 8 % 2;
    int stage = 0, to = MMA_STAGES - 1;
    for (int k = w.begin; k < w.end; k++) {
        cp_async_wait<MMA_STAGES - 2>();
        __syncthreads();
        load(k + MMA_STAGES - 1, to);
        const unsigned char* a = shared + stage * BYTES;
        const unsigned char* b = a + BM * 128;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t left[WM / 16][4], right[WN / 8][2];
#pragma unroll
            for (int m = 0; m < WM / 16; m++) ldmatrix_x4(left[m], a + chunk_at(row_a + 16 * m, 2 * i + side_a));
#pragma unroll
            for (int n = 0; n < WN / 16; n++) {
                uint32_t both[4];
                ldmatrix_x4(both, b + chunk_at(row_b + 16 * n, 2 * i + side_b));
                right[2 * n][0] = both[0], right[2 * n][1] = both[1];
                right[2 * n + 1][0] = both[2], right[2 * n + 1][1] = both[3];
            }
#pragma unroll
            for (int m = 0; m < WM / 16; m++)
#pragma unroll
                for (int n = 0; n < WN / 8; n++)
                    Mma<T>::run(*reinterpret_cast<float(*)[4]>(&sum[m][4 * n]), left[m], right[n]);
        }
        stage = stage + 1 == MMA_STAGES ? 0 : stage + 1;
        to = to + 1 == MMA_STAGES ? 0 : to + 1;
    }
#pragma unroll
    for (int m = 0; m < WM / 16; m++)
        store<T, WN>(d, w, sum[m], w.first_m + warp_m + 16 * m, w.first_n + warp_n, bias, y);
}

}  // namespace tensor

#define TENSOR_MMA(tile, threads, blocks, name, T, BM, BN, WM, WN)                                                     \
    KERNEL_BOUNDED(threads, blocks, tensor_mma_##name##_##tile,                                                        \
                   (const TensorConv d, const T::Stored* x, const T::Stored* packed, const float* bias, void* y)) {    \
        tensor::conv<T, BM, BN, WM, WN>(d, x, packed, bias, y);                                                        \
    }
#define TENSOR_MMAS(name, T)                                                                                           \
    TENSOR_MMA(128x128, 256, 2, name, T, 128, 128, 64, 32)                                                             \
    TENSOR_MMA(128x64, 128, 3, name, T, 128, 64, 64, 32)                                                               \
    TENSOR_MMA(64x64, 128, 4, name, T, 64, 64, 32, 32)
FOR_EACH_NUMBER(TENSOR_MMAS)

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
