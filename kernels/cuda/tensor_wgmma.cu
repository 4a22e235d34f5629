// targets: sm_90a
// Convolutions and fully connected layers on Hopper's tensor cores, whole warpgroups at a time.
//
// One thread of the first warpgroup has both operands' slabs copied into a ring of shared memory: the patches by a
// map that knows windows (nothing is laid out), the weights by a map of (filter, k). Two warpgroups multiply.
// A block takes one tile after the other, so the next tile's slabs arrive while this one's results are stored.
#include "hopper.cuh"
#include "tensor.cuh"

namespace tensor {

// Slabs in flight: what 220 KiB of shared memory hold, but six at most.
template <int BM, int BN>
__device__ constexpr int stages() {
    return (220 << 10) / ((BM + BN) * 128) > 6 ? 6 : (220 << 10) / ((BM + BN) * 128);
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
            if (products == 4) {  // without branches between them they follow one another closely
#pragma unroll
                for (int i = 0; i < 4; i++)
#pragma unroll
                    for (int m = 0; m < MI; m++)
                        group_product<T, BN>(sum[m], along(left, i + m * (64 * 128 / 32)), along(right, i));
            } else {
                for (int i = 0; i < products; i++)
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
            store<T, BN>(d, w, sum[m], w.first_m + (group * MI + m) * 64 + threadIdx.x % 128 / 32 * 16, w.first_n, bias, y);
    }
}

}  // namespace tensor

#define TENSOR_CONV(name, T, MI, BN)                                                                                   \
    KERNEL_BOUNDED(384, 1, tensor_wgmma_##name,                                                                         \
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
