// Losses, accuracy and their gradients. The plain loops are in kernels/cpu/loss.rs. Sums are in f64: first each block's,
// then one block adds those.
#include "reduce.cuh"

__device__ inline float sigmoid(float x) { return 0.5f * tanhf(0.5f * x) + 0.5f; }

// Labels that do not count, if there are any.
struct Ignored {
    int label;
    uint32_t any;
};
// A label as Rust's `as i32` has it: towards zero, saturated, zero for what is no number.
__device__ inline int whole(float label) {
    if (!(label == label)) return 0;
    if (label >= 2147483648.0f) return 2147483647;
    if (label <= -2147483648.0f) return -2147483647 - 1;
    return int(label);
}
__device__ inline bool ignored(const Ignored& rule, float label) { return rule.any && whole(label) == rule.label; }
// The class that a label names, or -1.
__device__ inline int class_of(float label, Count classes, const Ignored& rule) {
    int l = whole(label);
    return !ignored(rule, label) && l >= 0 && Count(l) < classes ? l : -1;
}

// A block's sums go to parts[2 b] and parts[2 b + 1].
__device__ inline void give(double sum, double counted, double* parts) {
    sum = block_sum(sum);
    counted = block_sum(counted);
    if (threadIdx.x == 0) {
        parts[2 * blockIdx.x] = sum;
        parts[2 * blockIdx.x + 1] = counted;
    }
}

KERNEL(cross_entropy, (Axis v, Ignored rule, const float* probabilities, const float* labels, double* parts)) {
    double sum = 0.0, counted = 0.0;
    for EACH(i, v.outer * v.inner) {
        int c = class_of(labels[i], v.len, rule);
        if (c < 0) continue;
        Count at, o = divided(i, v.inner, &at);
        float p = probabilities[(o * v.len + c) * v.inner + at];
        sum -= log(double(p < 1.17549435e-38f ? 1.17549435e-38f : p));
        counted += 1.0;
    }
    give(sum, counted, parts);
}

KERNEL(sigmoid_cross_entropy, (Ignored rule, Count n, const float* x, const float* targets, double* parts)) {
    double sum = 0.0, counted = 0.0;
    for EACH(i, n) {
        if (ignored(rule, targets[i])) continue;
        double v = x[i], t = targets[i];
        sum += fmax(v, 0.0) - t * v + log1p(exp(-fabs(v)));
        counted += 1.0;
    }
    give(sum, counted, parts);
}

KERNEL(hinge, (uint32_t squared, Count classes, Count n, const float* x, const float* labels, double* parts)) {
    double sum = 0.0;
    for EACH(i, n) {
        Count c, row = divided(i, classes, &c);
        double sign = class_of(labels[row], classes, {0, 0}) == int(c) ? 1.0 : -1.0;
        double margin = fmax(1.0 - sign * double(x[i]), 0.0);
        sum += squared ? margin * margin : margin;
    }
    give(sum, 0.0, parts);
}

KERNEL(squared_distance, (Count n, const float* a, const float* b, double* parts)) {
    double sum = 0.0;
    for EACH(i, n) {
        double d = double(a[i]) - double(b[i]);
        sum += d * d;
    }
    give(sum, 0.0, parts);
}

KERNEL(multinomial, (Count classes, Count rows, const float* x, const float* labels, double* parts)) {
    double sum = 0.0;
    for EACH(row, rows) {
        int c = class_of(labels[row], classes, {0, 0});
        if (c >= 0) sum -= log(double(fmaxf(x[row * classes + c], 1e-20f)));
    }
    give(sum, 0.0, parts);
}

// The square of the distance of each pair of rows; a block a pair.
KERNEL(pair_distances, (Count rows, Count width, const float* a, const float* b, double* squares)) {
    for (Count row = blockIdx.x; row < rows; row += gridDim.x) {
        double sum = 0.0;
        for (Count i = threadIdx.x; i < width; i += blockDim.x) {
            double d = double(a[row * width + i]) - double(b[row * width + i]);
            sum += d * d;
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) squares[row] = sum;
    }
}
KERNEL(contrastive, (float margin, uint32_t legacy, Count rows, const double* squares, const float* similar,
                     double* parts)) {
    double sum = 0.0;
    for EACH(row, rows) {
        double s = squares[row];
        if (whole(similar[row]) != 0) {
            sum += s;
        } else if (legacy) {
            sum += fmax(double(margin) - s, 0.0);
        } else {
            double left = fmax(double(margin) - sqrt(s), 0.0);
            sum += left * left;
        }
    }
    give(sum, 0.0, parts);
}
KERNEL(contrastive_back, (float margin, uint32_t legacy, float scale, Count width, Count n, const double* squares,
                          const float* x, const float* other, const float* similar, float* dx)) {
    for EACH(i, n) {
        Count at, row = divided(i, width, &at);
        float square = float(squares[row]), factor = 1.0f;
        if (whole(similar[row]) == 0) {
            float distance = sqrtf(square);
            factor = legacy ? -float(margin > square) : -fmaxf(margin - distance, 0.0f) / (distance + 1e-4f);
        }
        dx[i] = scale * factor * (x[i] - other[i]);
    }
}

// What a summed loss is divided by: 0 a given number, 1 what counted; never less than one.
__device__ inline double divisor_of(uint32_t by_counted, double given, double counted) {
    return by_counted ? fmax(counted, 1.0) : given;
}
// One block: the parts become the loss, and how many counted is kept.
KERNEL(finish_loss, (uint32_t parts, uint32_t by_counted, double given, const double* of_parts, double* kept, float* y)) {
    double sum = 0.0, counted = 0.0;
    for (uint32_t i = threadIdx.x; i < parts; i += blockDim.x) {
        sum += of_parts[2 * i];
        counted += of_parts[2 * i + 1];
    }
    sum = block_sum(sum);
    counted = block_sum(counted);
    if (threadIdx.x == 0) {
        if (kept) *kept = counted;
        if (y) *y = float(sum / divisor_of(by_counted, given, counted));
    }
}

KERNEL(count_labels, (Axis v, Ignored rule, const float* labels, double* parts)) {
    double counted = 0.0;
    for EACH(i, v.outer * v.inner) counted += class_of(labels[i], v.len, rule) >= 0 ? 1.0 : 0.0;
    give(0.0, counted, parts);
}
KERNEL(count_targets, (Ignored rule, Count n, const float* targets, double* parts)) {
    double counted = 0.0;
    for EACH(i, n) counted += ignored(rule, targets[i]) ? 0.0 : 1.0;
    give(0.0, counted, parts);
}

KERNEL(cross_entropy_back, (Axis v, Ignored rule, float weight, uint32_t by_counted, double given, const double* counted,
                            Count n, const float* probabilities, const float* labels, float* dx)) {
    float scale = weight / float(divisor_of(by_counted, given, *counted));
    for EACH(i, n) {
        Count at, c, rest = divided(i, v.inner, &at), o = divided(rest, v.len, &c);
        int label = class_of(labels[o * v.inner + at], v.len, rule);
        dx[i] = label < 0 ? 0.0f : scale * (probabilities[i] - (label == int(c) ? 1.0f : 0.0f));
    }
}

KERNEL(sigmoid_cross_entropy_back, (Ignored rule, float weight, uint32_t by_counted, double given, const double* counted,
                                    Count n, const float* x, const float* targets, float* dx)) {
    float scale = weight / float(divisor_of(by_counted, given, *counted));
    for EACH(i, n) dx[i] = ignored(rule, targets[i]) ? 0.0f : scale * (sigmoid(x[i]) - targets[i]);
}

KERNEL(hinge_back, (uint32_t squared, float scale, Count classes, Count n, const float* x, const float* labels,
                    float* dx)) {
    for EACH(i, n) {
        Count c, row = divided(i, classes, &c);
        float sign = class_of(labels[row], classes, {0, 0}) == int(c) ? 1.0f : -1.0f;
        float margin = fmaxf(1.0f - sign * x[i], 0.0f);
        float slope = squared ? 2.0f * margin : float(margin > 0.0f);
        dx[i] = -sign * scale * slope;
    }
}

KERNEL(multinomial_back, (float scale, Count classes, Count n, const float* x, const float* labels, float* dx)) {
    for EACH(i, n) {
        Count c, row = divided(i, classes, &c);
        dx[i] = class_of(labels[row], classes, {0, 0}) == int(c) ? -scale / fmaxf(x[i], 1e-20f) : 0.0f;
    }
}

// A warp judges a prediction: -1 does not count, else twice its class, and one more where it is right.
KERNEL(judge, (Axis v, uint32_t top, Ignored rule, const float* x, const float* labels, int* verdicts)) {
    Count warps = Count(gridDim.x) * (blockDim.x / 32), lane = threadIdx.x % 32;
    for (Count i = Count(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32; i < v.outer * v.inner; i += warps) {
        int c = class_of(labels[i], v.len, rule);
        Count at, o = divided(i, v.inner, &at), first = o * v.len * v.inner + at;
        int better = 0;
        float own = c < 0 ? 0.0f : x[first + c * v.inner];
        for (Count j = lane; c >= 0 && j < v.len; j += 32)
            better += Count(c) != j && x[first + j * v.inner] >= own ? 1 : 0;
        for (int apart = 16; apart > 0; apart /= 2) better += __shfl_xor_sync(~0u, better, apart);
        if (lane == 0) verdicts[i] = c < 0 ? -1 : 2 * c + (uint32_t(better) < top ? 1 : 0);
    }
}
// The share of right ones among those of each class, a block a class; of all, if `classes` is 0.
KERNEL(shares, (uint32_t classes, Count n, const int* verdicts, float* y)) {
    int own = int(blockIdx.x);
    double seen = 0.0, right = 0.0;
    for (Count i = threadIdx.x; i < n; i += blockDim.x) {
        int verdict = verdicts[i];
        if (verdict < 0 || (classes && verdict / 2 != own)) continue;
        seen += 1.0;
        right += verdict % 2;
    }
    seen = block_sum(seen);
    right = block_sum(right);
    if (threadIdx.x == 0) y[own] = seen == 0.0 ? 0.0f : float(right) / float(seen);
}
