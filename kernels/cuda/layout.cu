// targets: compute_70
// Between (n, c, h, w) in f32 at the door and (n, h, w, c) in the tensor cores' numbers inside; and weights, packed.
#include "numbers.cuh"

struct LayoutShape {
    int batch, channels, plane;
    int row;      // channels of a pixel inside: a multiple of 8, zeros behind the last
    Count pitch;  // elements from picture to picture at the door
};

namespace layout {

// Block (x, y, z): 32 pixels, 32 channels, picture z. 32 x 8 threads.
template <class T>
__device__ inline void inside(const LayoutShape& d, const float* x, typename T::Stored* y) {
    __shared__ float tile[32][33];
    int pixel = blockIdx.x * 32, channel = blockIdx.y * 32, across = threadIdx.x % 32, down = threadIdx.x / 32;
    for (int i = down; i < 32; i += 8) {
        bool there = channel + i < d.channels && pixel + across < d.plane;
        tile[i][across] = there ? x[blockIdx.z * d.pitch + Count(channel + i) * d.plane + pixel + across] : 0.0f;
    }
    __syncthreads();
    for (int i = down; i < 32; i += 8)
        if (pixel + i < d.plane && channel + across < d.row)
            y[(Count(blockIdx.z) * d.plane + pixel + i) * d.row + channel + across] = T::from(tile[across][i]);
}
template <class T>
__device__ inline void door(const LayoutShape& d, const typename T::Stored* x, float* y) {
    __shared__ float tile[32][33];
    int pixel = blockIdx.x * 32, channel = blockIdx.y * 32, across = threadIdx.x % 32, down = threadIdx.x / 32;
    for (int i = down; i < 32; i += 8) {
        bool there = channel + across < d.channels && pixel + i < d.plane;
        tile[i][across] = there ? T::to(x[(Count(blockIdx.z) * d.plane + pixel + i) * d.row + channel + across]) : 0.0f;
    }
    __syncthreads();
    for (int i = down; i < 32; i += 8)
        if (channel + i < d.channels && pixel + across < d.plane)
            y[blockIdx.z * d.pitch + Count(channel + i) * d.plane + pixel + across] = tile[across][i];
}

}  // namespace layout

#define LAYOUT(name, T)                                                                                                \
    KERNEL(layout_inside_##name, (const LayoutShape d, const float* x, T::Stored* y)) { layout::inside<T>(d, x, y); }  \
    KERNEL(layout_door_##name, (const LayoutShape d, const T::Stored* x, float* y)) { layout::door<T>(d, x, y); }
FOR_EACH_NUMBER(LAYOUT)

// A convolution of pictures with few channels becomes one that tensor maps can walk. `patches`: of one pixel a
// position, whose channels are its patch (c, window). Else of windows that follow one another, by folding a stride's
// rows and columns into channels (row, column, c).
struct FoldShape {
    int batch, channels, height, width;
    int out_h, out_w;                  // pixels of the result
    int fold_h, fold_w;                // pixels that become channels; the window, for patches
    int step_h, step_w, pad_h, pad_w;  // from pixel to pixel
    int dilation_h, dilation_w, row, patches;
    Count pitch;
};

namespace layout {

template <class T>
__device__ inline void fold(const FoldShape& d, const float* x, typename T::Stored* y) {
    constexpr int LEN = Chunk<T>::LEN;
    int chunks = d.row / LEN, area = d.fold_h * d.fold_w;
    for EACH(at, Count(d.batch) * d.out_h * d.out_w * chunks) {
        int first = at % chunks * LEN, pixel = at / chunks % (d.out_h * d.out_w);
        const float* picture = x + at / chunks / (d.out_h * d.out_w) * d.pitch;
        Chunk<T> chunk;
#pragma unroll
        for (int e = 0; e < LEN; e++) {
            int k = first + e, tap = d.patches ? k % area : k / d.channels, c = d.patches ? k / area : k % d.channels;
            int iy = pixel / d.out_w * d.step_h - d.pad_h + tap / d.fold_w * d.dilation_h;
            int ix = pixel % d.out_w * d.step_w - d.pad_w + tap % d.fold_w * d.dilation_w;
            bool there = k < area * d.channels && unsigned(iy) < unsigned(d.height) && unsigned(ix) < unsigned(d.width);
            chunk.v[e] = there ? picture[(Count(c) * d.height + iy) * d.width + ix] : 0.0f;
        }
        chunk.store(y + at * LEN);
    }
}

}  // namespace layout

#define FOLD(name, T)                                                                                                  \
    KERNEL(layout_fold_##name, (const FoldShape d, const float* x, T::Stored* y)) { layout::fold<T>(d, x, y); }
FOR_EACH_NUMBER(FOLD)

// Weights (group, filter, channel, window) become (row, tap, slab of channels), zeros behind the channels. Rows are
// filters; for input gradients (`back`) rows are channels, k runs over filters, windows turned by half a circle.
struct TensorPack {
    int groups, filters, channels, kernel_h, kernel_w;  // filters and channels of a group
    int fold_h, fold_w;                                 // pixels folded into channels, 1 if none
    int back, patches, k;                               // k: elements of a tap's slabs
};

namespace layout {

template <class T>
__device__ inline void pack(const TensorPack& d, const float* w, typename T::Stored* packed) {
    int taps_h = (d.kernel_h + d.fold_h - 1) / d.fold_h, taps_w = (d.kernel_w + d.fold_w - 1) / d.fold_w;
    int taps = d.patches ? 1 : taps_h * taps_w, area = d.kernel_h * d.kernel_w, rows = d.back ? d.channels : d.filters;
    for EACH(at, Count(d.groups) * rows * taps * d.k) {
        int k = at % d.k, tap = at / d.k % taps, row = at / d.k / taps % rows, group = at / d.k / taps / rows;
        int f = row, c, ky = tap / taps_w, kx = tap % taps_w;
        if (d.patches) {
            c = k / area, ky = k % area / d.kernel_w, kx = k % d.kernel_w;
        } else if (d.back) {
            f = k, c = row, ky = d.kernel_h - 1 - ky, kx = d.kernel_w - 1 - kx;
        } else {
            int folded = k / d.channels;  // row and column among those of one pixel
            c = k % d.channels;
            if (folded >= d.fold_h * d.fold_w) c = d.channels;
            ky = ky * d.fold_h + folded / d.fold_w, kx = kx * d.fold_w + folded % d.fold_w;
        }
        bool there = f < d.filters && c < d.channels && ky < d.kernel_h && kx < d.kernel_w;
        Count from = ((Count(group * d.filters + f) * d.channels + c) * d.kernel_h + ky) * d.kernel_w + kx;
        packed[at] = T::from(there ? w[from] : 0.0f);
    }
}

}  // namespace layout

#define PACK(name, T)                                                                                                  \
    KERNEL(tensor_pack_##name, (const TensorPack d, const float* w, T::Stored* packed)) { layout::pack<T>(d, w, packed); }
FOR_EACH_NUMBER(PACK)
