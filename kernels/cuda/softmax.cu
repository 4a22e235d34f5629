// Softmax along an axis, and the largest along it. The plain loops are in kernels/cpu/softmax.rs and argmax.rs.
#include "reduce.cuh"

__device__ inline float negative_infinity() { return __uint_as_float(0xff800000u); }

// One block for each row along the axis.
KERNEL(softmax, (Axis v, const float* x, float* y)) {
    for (Count row = blockIdx.x; row < v.outer * v.inner; row += gridDim.x) {
        Count at, o = divided(row, v.inner, &at);
        Count first = o * v.len * v.inner + at;
        float top = negative_infinity();
        for (Count i = threadIdx.x; i < v.len; i += blockDim.x) top = fmaxf(top, x[first + i * v.inner]);
        top = block_max(top);
        float sum = 0.0f;
        for (Count i = threadIdx.x; i < v.len; i += blockDim.x) {
            float e = expf(x[first + i * v.inner] - top);
            y[first + i * v.inner] = e;
            sum += e;
        }
        sum = block_sum(sum);
        for (Count i = threadIdx.x; i < v.len; i += blockDim.x) y[first + i * v.inner] /= sum;
    }
}

KERNEL(softmax_back, (Axis v, const float* y, const float* dy, float* dx)) {
    for (Count row = blockIdx.x; row < v.outer * v.inner; row += gridDim.x) {
        Count at, o = divided(row, v.inner, &at);
        Count first = o * v.len * v.inner + at;
        float sum = 0.0f;
        for (Count i = threadIdx.x; i < v.len; i += blockDim.x) {
            Count p = first + i * v.inner;
            sum += dy[p] * y[p];
        }
        sum = block_sum(sum);
        for (Count i = threadIdx.x; i < v.len; i += blockDim.x) {
            Count p = first + i * v.inner;
            dx[p] = y[p] * (dy[p] - sum);
        }
    }
}

// The same with a thread for each row, where many short rows lie side by side.
KERNEL(softmax_columns, (Axis v, const float* x, float* y)) {
    for EACH(row, v.outer * v.inner) {
        Count at, o = divided(row, v.inner, &at);
        Count first = o * v.len * v.inner + at;
        float top = negative_infinity(), sum = 0.0f;
        for (Count i = 0; i < v.len; i++) top = fmaxf(top, x[first + i * v.inner]);
        for (Count i = 0; i < v.len; i++) {
            float e = expf(x[first + i * v.inner] - top);
            y[first + i * v.inner] = e;
            sum += e;
        }
        for (Count i = 0; i < v.len; i++) y[first + i * v.inner] /= sum;
    }
}
KERNEL(softmax_columns_back, (Axis v, const float* y, const float* dy, float* dx)) {
    for EACH(row, v.outer * v.inner) {
        Count at, o = divided(row, v.inner, &at);
        Count first = o * v.len * v.inner + at;
        float sum = 0.0f;
        for (Count i = 0; i < v.len; i++) sum += dy[first + i * v.inner] * y[first + i * v.inner];
        for (Count i = 0; i < v.len; i++) {
            Count p = first + i * v.inner;
            dx[p] = y[p] * (dy[p] - sum);
        }
    }
}

// A value and its index as one number that is larger where the value is, by the total order of IEEE 754, and among
// equals where the index is. Never zero: no index is the largest number of 32 bits.
__device__ inline Count ranked(float value, Count index) {
    uint32_t bits = __float_as_uint(value);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return Count(bits) << 32 | uint32_t(index + 1);
}

// Ranks by falling value: `top` times the largest that is less than the last. What is written: 0 indices, 1 values, 2 both.
KERNEL(top_k, (Axis v, uint32_t top, uint32_t what, const float* x, float* y)) {
    __shared__ Count of_warps[32];
    for (Count row = blockIdx.x; row < v.outer * v.inner; row += gridDim.x) {
        Count at, o = divided(row, v.inner, &at);
        const float* values = x + o * v.len * v.inner + at;
        float* out = y + o * (what == 2 ? 2 : 1) * top * v.inner + at;
        Count last = ~0ull;
        for (uint32_t rank = 0; rank < top && rank < v.len; rank++) {
            Count best = 0;
            for (Count i = threadIdx.x; i < v.len; i += blockDim.x) {
                Count own = ranked(values[i * v.inner], i);
                if (own < last) best = max(best, own);
            }
            for (int apart = 16; apart > 0; apart /= 2) best = max(best, __shfl_xor_sync(~0u, best, apart));
            if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = best;
            __syncthreads();
            best = 0;
            for (uint32_t i = 0; i < blockDim.x / 32; i++) best = max(best, of_warps[i]);
            __syncthreads();
            last = best;
            if (threadIdx.x == 0) {
                Count index = uint32_t(best) - 1;
                if (what != 1) out[rank * v.inner] = float(index);
                if (what == 1) out[rank * v.inner] = values[index * v.inner];
                if (what == 2) out[(top + rank) * v.inner] = values[index * v.inner];
            }
        }
    }
}
