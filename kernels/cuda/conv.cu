// targets: compute_70 compute_80
// Convolutions in exact f32 as products whose patch matrix is never laid out: a block picks the patches' values
// from the pictures while it multiplies. Pictures are (n, c, h, w).
#include "product.cuh"

// Sizes of one group's product, for `groups` of them.
struct ConvShape {
    int batch, groups;
    int channels, filters;           // of a group
    int in_h, in_w, out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int k;                           // channels x window
    int row;                         // filters, rounded up to 4: a row of packed weights
    int splits, per_split;           // k (positions, for the weights' gradient) is cut into ranges
    int relu;
    float slope;
    int add, has_bias;
    Count pitch_x, pitch_y;          // elements from picture to picture
    Count next_split;                // elements from partial result to partial result
};

namespace conv {

using namespace product;

// Packed weights are (group, k, row); behind them, for each k, {offset in a picture, rows down, columns across, 0}.
__device__ inline const int4* table(const ConvShape& d, const float* packed) {
    return reinterpret_cast<const int4*>(packed + Count(d.groups) * d.k * d.row);
}

// Operand (k, position): value k of the position's patch. All threads of a warp bring the same k.
template <int WIDTH, int THREADS>
struct Patches {
    static constexpr bool SWIZZLED = false;
    const float* p;
    const int4* table;
    int y, x, height, width;

    __device__ Patches(const ConvShape& d, const float* pictures, const int4* table, int group, int first)
        : table(table), height(d.in_h), width(d.in_w) {
        int plane = d.out_h * d.out_w, position = first + threadIdx.x % WIDTH;
        if (position >= d.batch * plane) {
            y = x = -(1 << 30);  // nothing is inside
            p = pictures;
            return;
        }
        int picture = position / plane, at = position % plane;
        y = at / d.out_w * d.stride_h - d.pad_h;
        x = at % d.out_w * d.stride_w - d.pad_w;
        p = pictures + picture * d.pitch_x + Count(group) * d.channels * d.in_h * d.in_w + (Count(y) * width + x);
    }
    __device__ void load(float* tile, int k0, int end) {
        int column = threadIdx.x % WIDTH, first = threadIdx.x / WIDTH;
#pragma unroll
        for (int j = 0; j < BK * WIDTH / THREADS; j++) {
            int k = first + j * (THREADS / WIDTH);
            int4 tap = __ldg(table + min(k0 + k, end - 1));
            bool valid = k0 + k < end && unsigned(y + tap.y) < unsigned(height) && unsigned(x + tap.z) < unsigned(width);
            cp_async_4(tile + k * WIDTH + column, valid ? p + tap.x : reinterpret_cast<const float*>(table),
                       valid ? 4 : 0);
        }
    }
};

// Operand (k, position) of the convolution's transpose, where windows do not follow one another: k is (filter,
// window), the position one of the input. `out_*` are the sizes of dx, `in_*` those of dy.
template <int WIDTH, int THREADS>
struct Scattered {
    static constexpr bool SWIZZLED = false;
    const float* p;
    const int4* table;
    const ConvShape& d;
    int y, x;

    __device__ Scattered(const ConvShape& d, const float* pictures, const int4* table, int group, int first)
        : p(pictures), table(table), d(d) {
        int plane = d.out_h * d.out_w, position = first + threadIdx.x % WIDTH;
        y = x = -(1 << 30);
        if (position >= d.batch * plane) return;
        int picture = position / plane, at = position % plane;
        y = at / d.out_w + d.pad_h;
        x = at % d.out_w + d.pad_w;
        p += picture * d.pitch_x + Count(group) * d.channels * d.in_h * d.in_w;
    }
    __device__ void load(float* tile, int k0, int end) {
        int column = threadIdx.x % WIDTH, first = threadIdx.x / WIDTH;
        for (int j = 0; j < BK * WIDTH / THREADS; j++) {
            int k = first + j * (THREADS / WIDTH);
            int4 tap = __ldg(table + min(k0 + k, end - 1));
            int down = y - tap.y, across = x - tap.z;  // stride times where the window lay
            bool valid = k0 + k < end && down >= 0 && across >= 0 && down % d.stride_h == 0 &&
                         across % d.stride_w == 0 && down / d.stride_h < d.in_h && across / d.stride_w < d.in_w;
            cp_async_4(tile + k * WIDTH + column,
                       valid ? p + tap.x + down / d.stride_h * d.in_w + across / d.stride_w
                             : reinterpret_cast<const float*>(table),
                       valid ? 4 : 0);
        }
    }
};

// Block (x, 0, z): tile x (filters first) of group z / splits, range z % splits of k.
template <int BM, int BN, template <int, int> class P>
__device__ inline void forward(const ConvShape& d, const float* x, const float* packed, const float* bias, float* y) {
    DYNAMIC_SHARED(float, shared);
    typedef Tile<BM, BN> T;
    int tiles_m = (d.filters + BM - 1) / BM;
    int first_m = blockIdx.x % tiles_m * BM, first_n = blockIdx.x / tiles_m * BN;
    int group = blockIdx.z / d.splits, split = blockIdx.z % d.splits;
    T t;
    Rows<BM, T::THREADS> weights(packed + Count(group) * d.k * d.row, d.row, first_m, d.row);
    P<BN, T::THREADS> patches(d, x, table(d, packed), group, first_n);
    int begin = split * d.per_split;
    t.multiply(weights, patches, begin, min(begin + d.per_split, d.k), shared);

    int plane = d.out_h * d.out_w, all = d.batch * plane;
    bool wide = plane % 4 == 0 && d.pitch_y % 4 == 0 && Count(y) % 16 == 0 && d.next_split % 4 == 0;
    y += split * d.next_split;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int n = first_n + t.column(4 * h);
        if (n >= all) continue;
        float* to[4];
#pragma unroll
        for (int e = 0; e < 4; e++) to[e] = y + (n + e) / plane * d.pitch_y + (n + e) % plane;
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int m = first_m + t.row(i);
            if (m >= d.filters) continue;
            m += group * d.filters;
            float b = d.has_bias ? bias[m] : 0.0f, v[4];
#pragma unroll
            for (int e = 0; e < 4; e++) v[e] = relu(t.sum[i][4 * h + e] + b, d.relu, d.slope);
            if (wide) {
                *reinterpret_cast<float4*>(to[0] + Count(m) * plane) = make_float4(v[0], v[1], v[2], v[3]);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    if (n + e < all) to[e][Count(m) * plane] = v[e];
            }
        }
    }
}

// Where a thread is on its way through the positions of all pictures.
struct Walk {
    int picture, y, x;
    __device__ Walk(const ConvShape& d, int position) {
        int plane = d.out_h * d.out_w;
        picture = position / plane;
        y = position % plane / d.out_w;
        x = position % d.out_w;
    }
    __device__ void advance(const ConvShape& d, int by) {
        x += by;
        while (x >= d.out_w) {
            x -= d.out_w;
            if (++y == d.out_h) {
                y = 0;
                picture++;
            }
        }
    }
};

// Operand (position, filter): the output's gradients.
template <int WIDTH, int THREADS>
struct OutputBack {
    static constexpr bool SWIZZLED = true;
    const ConvShape& d;
    const float* p;
    int rest;
    Walk at[2];

    __device__ OutputBack(const ConvShape& d, const float* dy, int group, int first, int begin)
        : d(d), p(dy + Count(group * d.filters + first) * (d.out_h * d.out_w)), rest(d.filters - first),
          at{Walk(d, begin + threadIdx.x % 8), Walk(d, begin + threadIdx.x % 8 + 8)} {}
    // Called for one range of k after the other.
    __device__ void load(float* tile, int k0, int end) {
        int plane = d.out_h * d.out_w;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int k = threadIdx.x % 8 + 8 * half;
            Count from = at[half].picture * d.pitch_y + at[half].y * d.out_w + at[half].x;
#pragma unroll
            for (int j = 0; j < WIDTH / (THREADS / 8); j++) {
                int i = threadIdx.x / 8 + j * (THREADS / 8);
                bool valid = k0 + k < end && i < rest;
                cp_async_4(tile + k * WIDTH + swizzled(k, i), valid ? p + from + Count(i) * plane : p, valid ? 4 : 0);
            }
            at[half].advance(d, BK);
        }
    }
};

// Operand (position, value of its patch).
template <int WIDTH, int THREADS>
struct PatchesBack {
    static constexpr bool SWIZZLED = true;
    static constexpr int EACH_THREAD = WIDTH / (THREADS / 8);
    const ConvShape& d;
    const float* p;
    int4 tap[EACH_THREAD];
    Walk at[2];

    __device__ PatchesBack(const ConvShape& d, const float* x, const int4* table, int group, int first, int begin)
        : d(d), p(x + Count(group) * d.channels * d.in_h * d.in_w),
          at{Walk(d, begin + threadIdx.x % 8), Walk(d, begin + threadIdx.x % 8 + 8)} {
#pragma unroll
        for (int j = 0; j < EACH_THREAD; j++) {
            int i = first + threadIdx.x / 8 + j * (THREADS / 8);
            tap[j] = i < d.k ? __ldg(table + i) : make_int4(0, -(1 << 30), 0, 0);
        }
    }
    __device__ void load(float* tile, int k0, int end) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int k = threadIdx.x % 8 + 8 * half;
            int y = at[half].y * d.stride_h - d.pad_h, x = at[half].x * d.stride_w - d.pad_w;
            const float* from = p + at[half].picture * d.pitch_x + (Count(y) * d.in_w + x);
#pragma unroll
            for (int j = 0; j < EACH_THREAD; j++) {
                int i = threadIdx.x / 8 + j * (THREADS / 8);
                bool valid = k0 + k < end && unsigned(y + tap[j].y) < unsigned(d.in_h) &&
                             unsigned(x + tap[j].z) < unsigned(d.in_w);
                cp_async_4(tile + k * WIDTH + swizzled(k, i), valid ? from + tap[j].x : p, valid ? 4 : 0);
            }
            at[half].advance(d, BK);
        }
    }
};

// Block (x, 0, z): tile x (filters first) of group z / splits, range z % splits of the positions.
template <int BM, int BN>
__device__ inline void weights_back(const ConvShape& d, const float* x, const float* dy, const int4* table, float* dw) {
    DYNAMIC_SHARED(float, shared);
    typedef Tile<BM, BN> T;
    int tiles_m = (d.filters + BM - 1) / BM;
    int first_m = blockIdx.x % tiles_m * BM, first_n = blockIdx.x / tiles_m * BN;
    int group = blockIdx.z / d.splits, split = blockIdx.z % d.splits;
    int begin = split * d.per_split;
    T t;
    OutputBack<BM, T::THREADS> left(d, dy, group, first_m, begin);
    PatchesBack<BN, T::THREADS> right(d, x, table, group, first_n, begin);
    t.multiply(left, right, begin, min(begin + d.per_split, d.batch * d.out_h * d.out_w), shared);
    dw += split * d.next_split;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int m = first_m + t.row(i);
        if (m >= d.filters) continue;
        float* row = dw + Count(group * d.filters + m) * d.k;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            int n = first_n + t.column(j);
            if (n < d.k) row[n] = d.add ? row[n] + t.sum[i][j] : t.sum[i][j];
        }
    }
}

}  // namespace conv

#define CONV(tile, threads, blocks, BM, BN)                                                                            \
    KERNEL_BOUNDED(threads, blocks, conv_##tile,                                                                       \
                   (const ConvShape d, const float* x, const float* packed, const float* bias, float* y)) {            \
        conv::forward<BM, BN, conv::Patches>(d, x, packed, bias, y);                                                   \
    }                                                                                                                  \
    KERNEL_BOUNDED(threads, blocks, conv_weights_back_##tile,                                                          \
                   (const ConvShape d, const float* x, const float* dy, const int4* table, float* dw)) {               \
        conv::weights_back<BM, BN>(d, x, dy, table, dw);                                                               \
    }

CONV(128x128, 256, 2, 128, 128)
CONV(64x128, 128, 4, 64, 128)
CONV(64x64, 64, 7, 64, 64)

// Input gradients whatever the stride, and transposed convolutions.
KERNEL_BOUNDED(64, 7, conv_scattered_64x64,
               (const ConvShape d, const float* x, const float* packed, const float* bias, float* y)) {
    conv::forward<64, 64, conv::Scattered>(d, x, packed, bias, y);
}

struct PackShape {
    int groups, filters, channels, kernel_h, kernel_w;  // of the convolution whose weights these are, per group
    int row;                                            // results, rounded up to 4
    int back, flip;  // rows are for input channels instead of filters; windows turned by half a circle
};

// Weights (group, filter, channel, window) become (group, k, row). Forward, k is (channel, window), back (filter, window).
KERNEL(conv_pack, (const PackShape d, const float* w, float* packed)) {
    int taps = d.kernel_h * d.kernel_w, k_len = (d.back ? d.filters : d.channels) * taps;
    for EACH(at, Count(d.groups) * k_len * d.row) {
        int i = at % d.row, k = at / d.row % k_len, group = at / (Count(d.row) * k_len);
        int tap = d.flip ? taps - 1 - k % taps : k % taps;
        int f = d.back ? k / taps : i, c = d.back ? i : k / taps;
        bool there = f < d.filters && c < d.channels;
        packed[at] = there ? w[(Count(group * d.filters + f) * d.channels + c) * taps + tap] : 0.0f;
    }
}

// What each k means: see conv::table. `scattered` tables count rows and columns, the offset is the plane's alone.
KERNEL(conv_table, (const ConvShape d, int scattered, int4* table)) {
    int taps = d.kernel_h * d.kernel_w;
    for EACH(k, Count(d.k)) {
        int c = k / taps, y = k % taps / d.kernel_w * d.dilation_h, x = k % d.kernel_w * d.dilation_w;
        table[k] = make_int4(c * d.in_h * d.in_w + (scattered ? 0 : y * d.in_w + x), y, x, 0);
    }
}
