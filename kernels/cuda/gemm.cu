// targets: compute_70 compute_80
// Matrix products in exact f32: fully connected layers, forward, back and for their weights, and Winograd's.
//
// c (m, n) = a b, then bias and ReLU. Which way the operands lie is in the kernel's name: "kk" both have their
// neighbours along k (x and W of a layer's forward pass), "kn" b has them along n, "mn" a along m and b along n.
#include "product.cuh"

struct GemmDims {
    int m, n, k;
    int splits, per_split;  // k is cut into `splits` ranges of `per_split`, a multiple of 16
    int bias;               // 0 none, 1 one for each column, 2 one for each row
    int relu, add;          // whether negative results are multiplied with slope; whether to add to c
    float slope;
    int pad;
    Count lda, ldb, ldc;    // distance of neighbours along the slow axis
    Count next_a, next_b, next_c;  // distance of neighbouring products
    Count next_split;       // distance of the partial results
};

namespace gemm {

using namespace product;

// Block (x, 0, z): tile x (rows first) of product z / splits, range z % splits of k.
template <int BM, int BN, template <int, int> class A, template <int, int> class B>
__device__ inline void tile(const GemmDims& d, const float* a, const float* b, const float* bias, float* c) {
    DYNAMIC_SHARED(float, shared);
    typedef Tile<BM, BN> T;
    int tiles_m = (d.m + BM - 1) / BM;
    int first_m = blockIdx.x % tiles_m * BM, first_n = blockIdx.x / tiles_m * BN;
    int product = blockIdx.z / d.splits, split = blockIdx.z % d.splits;
    T t;
    A<BM, T::THREADS> left(a + product * d.next_a, d.lda, first_m, d.m);
    B<BN, T::THREADS> right(b + product * d.next_b, d.ldb, first_n, d.n);
    int begin = split * d.per_split;
    t.multiply(left, right, begin, min(begin + d.per_split, d.k), shared);
    c += product * d.next_c + split * d.next_split;
    bool wide = d.ldc % 4 == 0 && Count(c) % 16 == 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int m = first_m + t.row(i);
        if (m >= d.m) continue;
        float* row = c + m * d.ldc;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int n = first_n + t.column(4 * h);
            float v[4];
#pragma unroll
            for (int e = 0; e < 4; e++) {
                v[e] = t.sum[i][4 * h + e];
                if (n + e >= d.n) continue;
                if (d.bias) v[e] += bias[d.bias == 1 ? n + e : m];
                if (d.add) v[e] += row[n + e];
                v[e] = relu(v[e], d.relu, d.slope);
            }
            if (wide && n + 3 < d.n) {
                *reinterpret_cast<float4*>(row + n) = make_float4(v[0], v[1], v[2], v[3]);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    if (n + e < d.n) row[n + e] = v[e];
            }
        }
    }
}

}  // namespace gemm

#define GEMM(layout, A, B)                                                                                             \
    KERNEL_BOUNDED(256, 2, gemm_##layout##_128x128,                                                                    \
                   (const GemmDims d, const float* a, const float* b, const float* bias, float* c)) {                  \
        gemm::tile<128, 128, product::A, product::B>(d, a, b, bias, c);                                                \
    }                                                                                                                  \
    KERNEL_BOUNDED(128, 4, gemm_##layout##_64x128,                                                                     \
                   (const GemmDims d, const float* a, const float* b, const float* bias, float* c)) {                  \
        gemm::tile<64, 128, product::A, product::B>(d, a, b, bias, c);                                                 \
    }                                                                                                                  \
    KERNEL_BOUNDED(64, 7, gemm_##layout##_64x64,                                                                       \
                   (const GemmDims d, const float* a, const float* b, const float* bias, float* c)) {                  \
        gemm::tile<64, 64, product::A, product::B>(d, a, b, bias, c);                                                  \
    }

GEMM(kk, Columns, Columns)
GEMM(kn, Columns, Rows)
GEMM(mn, Rows, Rows)

struct SumDims {
    Count len, next_split;   // results; distance of the partial results
    int splits, relu, add;
    float slope;
    Count bias_len, bias_step;  // bias[i / bias_step % bias_len]; bias_len 0 means none
    Count picture, pitch;       // result i goes to i / picture * pitch + i % picture
};

// The partial results in their order, one after the other: the same bits whatever ran first.
KERNEL(gemm_sum, (const SumDims d, const float* partial, const float* bias, float* y)) {
    for EACH(i, d.len) {
        float v = partial[i];
        for (int s = 1; s < d.splits; s++) v += partial[s * d.next_split + i];
        if (d.bias_len) v += bias[i / d.bias_step % d.bias_len];
        float* to = y + i / d.picture * d.pitch + i % d.picture;
        if (d.add) v += *to;
        *to = product::relu(v, d.relu, d.slope);
    }
}
