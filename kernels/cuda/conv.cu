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

// Packed weights are (group, k, row), k filled up to a multiple of 16; behind them lies the table: for each k
// {offset in a picture, rows down, columns across, 0}; what fills up lies outside every picture.
__device__ inline int filled(int k) { return (k + BK - 1) / BK * BK; }
__device__ inline const int4* table(const ConvShape& d, const float* packed) {
    return reinterpret_cast<const int4*>(packed + Count(d.groups) * filled(d.k) * d.row);
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
    __device__ void load(float* tile, int k0, int) {
        const int4* taps = table + k0 + threadIdx.x / WIDTH;
#pragma unroll
        for (int j = 0; j < BK * WIDTH / THREADS; j++) {
            int4 tap = __ldg(taps + j * (THREADS / WIDTH));
            bool valid = unsigned(y + tap.y) < unsigned(height) && unsigned(x + tap.z) < unsigned(width);
            cp_async_4(tile + threadIdx.x + j * THREADS, p + tap.x, valid ? 4 : 0);
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
    __device__ void load(float* tile, int k0, int) {
        int column = threadIdx.x % WIDTH, first = threadIdx.x / WIDTH;
        for (int j = 0; j < BK * WIDTH / THREADS; j++) {
            int k = first + j * (THREADS / WIDTH);
            int4 tap = __ldg(table + k0 + k);
            int down = y - tap.y, across = x - tap.z;  // stride times where the window lay
            bool valid = down >= 0 && across >= 0 && down % d.stride_h == 0 &&
                         across % d.stride_w == 0 && down / d.stride_h < d.in_h && across / d.stride_w < d.in_w;
            cp_async_4(tile + k * WIDTH + column,
                       p + tap.x + down / d.stride_h * d.in_w + across / d.stride_w, valid ? 4 : 0);
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
    Packed<BM, T::THREADS> weights(packed + Count(group) * filled(d.k) * d.row, d.row, first_m, d.row);
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

// For the weights' gradient k runs over the positions of all pictures. A table tells for each: {offset of its window
// in all pictures as if there were no padding, the window's first row, its first column, offset in all dy}; both
// offsets are 32 bits without sign. What fills up to a multiple of 16 has a row below every picture.
constexpr int NOWHERE = -(1 << 30);

// Operand (position, filter): the output's gradients.
template <int WIDTH, int THREADS>
struct OutputBack {
    static constexpr bool SWIZZLED = true;
    static constexpr int STEP = THREADS / 8;
    const float* p;
    const int4* positions;
    int plane, k, i, rest;

    __device__ OutputBack(const ConvShape& d, const float* dy, const int4* positions, int group, int first)
        : positions(positions), plane(d.out_h * d.out_w), k(threadIdx.x % 8), i(threadIdx.x / 8),
          rest(d.filters - first) {
        p = dy + Count(group * d.filters + first + i) * plane;
    }
    __device__ void load(float* tile, int k0, int) {
#pragma unroll
        for (int half = 0; half < BK; half += 8) {
            int4 at = __ldg(positions + k0 + k + half);
            const float* from = p + unsigned(at.w);
#pragma unroll
            for (int j = 0; j < WIDTH / STEP; j++) {
                bool valid = at.y != NOWHERE && i + j * STEP < rest;
                cp_async_4(tile + (k + half) * WIDTH + swizzled(k, i + j * STEP), from, valid ? 4 : 0);
                from += STEP * plane;
            }
        }
    }
};

// Operand (position, value of its patch).
template <int WIDTH, int THREADS>
struct PatchesBack {
    static constexpr bool SWIZZLED = true;
    static constexpr int STEP = THREADS / 8, EACH_THREAD = WIDTH / STEP;
    const float* p;
    const int4* positions;
    int k, i, height, width;
    int offset[EACH_THREAD], tap[EACH_THREAD];  // a tap's row in the upper half, its column in the lower

    __device__ PatchesBack(const ConvShape& d, const float* x, const int4* positions, const int4* table, int group,
                           int first)
        : positions(positions), k(threadIdx.x % 8), i(threadIdx.x / 8), height(d.in_h), width(d.in_w) {
        p = x + Count(group) * d.channels * d.in_h * d.in_w - (Count(d.pad_h) * d.in_w + d.pad_w);
#pragma unroll
        for (int j = 0; j < EACH_THREAD; j++) {
            int at = first + i + j * STEP;
            int4 t = at < d.k ? __ldg(table + at) : make_int4(0, 0x7fff, 0, 0);
            offset[j] = t.x;
            tap[j] = t.y << 16 | t.z;
        }
    }
    __device__ void load(float* tile, int k0, int) {
#pragma unroll
        for (int half = 0; half < BK; half += 8) {
            int4 at = __ldg(positions + k0 + k + half);
            const float* from = p + unsigned(at.x);
#pragma unroll
            for (int j = 0; j < EACH_THREAD; j++) {
                bool valid = unsigned(at.y + (tap[j] >> 16)) < unsigned(height) &&
                             unsigned(at.z + (tap[j] & 0xffff)) < unsigned(width);
                cp_async_4(tile + (k + half) * WIDTH + swizzled(k, i + j * STEP), from + offset[j], valid ? 4 : 0);
            }
        }
    }
};

// Block (x, 0, z): tile x (filters first) of group z / splits, range z % splits of the positions.
template <int BM, int BN>
__device__ inline void weights_back(const ConvShape& d, const float* x, const float* dy, const int4* table,
                                    const int4* positions, float* dw) {
    DYNAMIC_SHARED(float, shared);
    typedef Tile<BM, BN> T;
    int tiles_m = (d.filters + BM - 1) / BM;
    int first_m = blockIdx.x % tiles_m * BM, first_n = blockIdx.x / tiles_m * BN;
    int group = blockIdx.z / d.splits, split = blockIdx.z % d.splits;
    int begin = split * d.per_split;
    T t;
    OutputBack<BM, T::THREADS> left(d, dy, positions, group, first_m);
    PatchesBack<BN, T::THREADS> right(d, x, positions, table, group, first_n);
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
                   (const ConvShape d, const float* x, const float* dy, const int4* table, const int4* positions,      \
                    float* dw)) {                                                                                      \
        conv::weights_back<BM, BN>(d, x, dy, table, positions, dw);                                                    \
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
    int taps = d.kernel_h * d.kernel_w, k_len = conv::filled((d.back ? d.filters : d.channels) * taps);
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
    for EACH(k, Count(conv::filled(d.k))) {
        int c = k / taps, y = k % taps / d.kernel_w * d.dilation_h, x = k % d.kernel_w * d.dilation_w;
        int4 tap = make_int4(c * d.in_h * d.in_w + (scattered ? 0 : y * d.in_w + x), y, x, 0);
        int outside = scattered ? 1 << 30 : -(1 << 29);  // a position that is outside itself lies at -2^30
        table[k] = k < d.k ? tap : make_int4(0, outside, outside, 0);
    }
}

// What each position means for the weights' gradient.
KERNEL(conv_positions, (const ConvShape d, int4* table)) {
    int plane = d.out_h * d.out_w;
    for EACH(k, Count(conv::filled(d.batch * plane))) {
        Count picture = k / plane;
        int at = k % plane, y = at / d.out_w * d.stride_h, x = at % d.out_w * d.stride_w;
        int4 position = make_int4(int(unsigned(picture * d.pitch_x + Count(y) * d.in_w + x)), y - d.pad_h, x - d.pad_w,
                                  int(unsigned(picture * d.pitch_y + at)));
        table[k] = picture < Count(d.batch) ? position : make_int4(0, conv::NOWHERE, 0, 0);
    }
}
