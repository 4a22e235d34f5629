// Sums over all but an axis, and over rows; moments; normalisations. The plain loops are in kernels/cpu/norm.rs,
// reduce.rs, elementwise.rs. Sums are in f64, in an order that follows from the sizes alone.
#include "reduce.cuh"

// What is summed: 0: a; 1: a b; 2: (a - centre)^2; 3: min(a, 0) b (PReLU's slopes).
__device__ inline double term(uint32_t what, const float* a, const float* b, float centre, Count at) {
    switch (what) {
        case 0: return a[at];
        case 1: return double(a[at]) * double(b[at]);
        case 2: {
            double d = double(a[at]) - double(centre);
            return d * d;
        }
        default: return double(fminf(a[at], 0.0f)) * double(b[at]);
    }
}

// Part blockIdx.y of gridDim.y of the sum for index blockIdx.x of the axis; `centre`, if any, has one value for each.
KERNEL(axis_sums, (uint32_t what, Axis v, const float* a, const float* b, const float* centre, double* parts)) {
    Count c = blockIdx.x;
    Count n = v.outer * v.inner, share = (n + gridDim.y - 1) / gridDim.y;
    Count first = blockIdx.y * share, end = min(n, first + share);
    float middle = centre ? centre[c] : 0.0f;
    double sum = 0.0;
    for (Count i = first + threadIdx.x; i < end; i += blockDim.x) {
        Count at, o = divided(i, v.inner, &at);
        sum += term(what, a, b, middle, (o * v.len + c) * v.inner + at);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[c * gridDim.y + blockIdx.y] = sum;
}

// The same where neighbouring indices of the axis are neighbours in memory (inner is 1): 32 of them in a block of
// 32 x 8 threads.
KERNEL(axis_sums_columns, (uint32_t what, Axis v, const float* a, const float* b, const float* centre, double* parts)) {
    __shared__ double of_rows[8][32];
    Count c = Count(blockIdx.x) * 32 + threadIdx.x;
    Count share = (v.outer + gridDim.y - 1) / gridDim.y;
    Count first = blockIdx.y * share, end = min(v.outer, first + share);
    double sum = 0.0;
    if (c < v.len) {
        float middle = centre ? centre[c] : 0.0f;
        for (Count o = first + threadIdx.y; o < end; o += 8) sum += term(what, a, b, middle, o * v.len + c);
    }
    of_rows[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && c < v.len) {
        for (int i = 1; i < 8; i++) sum += of_rows[i][threadIdx.x];
        parts[c * gridDim.y + blockIdx.y] = sum;
    }
}

// out = (sum of the parts) / divisor, or added to what is there.
KERNEL(sum_parts, (Count n, uint32_t parts, double divisor, uint32_t add, const double* of_parts, float* out)) {
    for EACH(i, n) {
        double sum = 0.0;
        for (uint32_t p = 0; p < parts; p++) sum += of_parts[i * parts + p];
        float value = float(sum / divisor);
        out[i] = add ? out[i] + value : value;
    }
}

KERNEL(standardise, (Axis v, float eps, Count n, const float* mean, const float* variance, float* y)) {
    for EACH(i, n) {
        Count c = along(v, i);
        y[i] = (y[i] - mean[c]) / sqrtf(variance[c] + eps);
    }
}

// `sums` holds for each index the sum of dy, then for each that of dy y; a null pointer: the moments were stored.
KERNEL(standardise_back, (Axis v, float eps, Count n, const float* variance, const float* sums, const float* y,
                          const float* dy, float* dx)) {
    float count = float(v.outer * v.inner);
    for EACH(i, n) {
        Count c = along(v, i);
        float deviation = sqrtf(variance[c] + eps);
        if (sums) {
            float mean = sums[c] / count, shared = sums[v.len + c] / count;
            dx[i] = (dy[i] - mean - y[i] * shared) / deviation;
        } else {
            dx[i] = dy[i] / deviation;
        }
    }
}

// Rows of `len`, one block each. `scaled`: also divided by their deviation plus eps.
KERNEL(mvn, (Count rows, Count len, uint32_t scaled, float eps, float* y)) {
    for (Count r = blockIdx.x; r < rows; r += gridDim.x) {
        float* row = y + r * len;
        double sum = 0.0;
        for (Count i = threadIdx.x; i < len; i += blockDim.x) sum += row[i];
        double mean = block_sum(sum) / double(len);
        double squares = 0.0;
        for (Count i = threadIdx.x; i < len; i += blockDim.x) {
            row[i] = float(double(row[i]) - mean);
            squares += double(row[i]) * double(row[i]);
        }
        if (!scaled) continue;
        float divisor = float(sqrt(block_sum(squares) / double(len))) + eps;
        for (Count i = threadIdx.x; i < len; i += blockDim.x) row[i] /= divisor;
    }
}

KERNEL(mvn_back, (Count rows, Count len, uint32_t scaled, float eps, const float* x, const float* y, const float* dy,
                  float* dx)) {
    for (Count r = blockIdx.x; r < rows; r += gridDim.x) {
        Count first = r * len;
        double shared = 0.0, divisor = 1.0, n = double(len);
        if (scaled) {
            double sum = 0.0, squares = 0.0, products = 0.0;
            for (Count i = threadIdx.x; i < len; i += blockDim.x) sum += x[first + i];
            double centre = block_sum(sum) / n;
            for (Count i = threadIdx.x; i < len; i += blockDim.x) {
                double d = double(x[first + i]) - centre;
                squares += d * d;
                products += double(dy[first + i]) * double(y[first + i]);
            }
            divisor = sqrt(block_sum(squares) / n) + double(eps);
            shared = block_sum(products) / n;
        }
        double sum = 0.0;
        for (Count i = threadIdx.x; i < len; i += blockDim.x) sum += dy[first + i];
        double level = block_sum(sum) / n;
        for (Count i = threadIdx.x; i < len; i += blockDim.x)
            dx[first + i] = float((double(dy[first + i]) - level - double(y[first + i]) * shared) / divisor);
    }
}

// Rows to one number each. How: 0 sum, 1 sum of magnitudes, 2 sum of squares, 3 mean.
KERNEL(reduce, (uint32_t how, Count rows, Count len, float coeff, const float* x, float* y)) {
    for (Count r = blockIdx.x; r < rows; r += gridDim.x) {
        double sum = 0.0;
        for (Count i = threadIdx.x; i < len; i += blockDim.x) {
            double v = x[r * len + i];
            sum += how == 1 ? fabs(v) : how == 2 ? v * v : v;
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) y[r] = float(double(coeff) * sum / (how == 3 ? double(len) : 1.0));
    }
}

KERNEL(reduce_back, (uint32_t how, Count n, Count len, float coeff, const float* x, const float* dy, float* dx)) {
    for EACH(i, n) {
        Count rest, r = divided(i, len, &rest);
        float v = x[i];
        float slope = how == 0 ? 1.0f
                    : how == 1 ? float(v > 0.0f) - float(v < 0.0f)
                    : how == 2 ? 2.0f * v
                               : 1.0f / float(len);
        dx[i] = coeff * dy[r] * slope;
    }
}

// Sums of squares of all elements, one part a block.
KERNEL(squares, (Count n, const float* x, double* parts)) {
    double sum = 0.0;
    for EACH(i, n) sum += double(x[i]) * double(x[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
// One block: the sum of parts, as an f64.
KERNEL(sum_all, (uint32_t parts, const double* of_parts, double* out)) {
    double sum = 0.0;
    for (uint32_t i = threadIdx.x; i < parts; i += blockDim.x) sum += of_parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = sum;
}
