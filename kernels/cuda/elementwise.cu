// Functions of each element, sums and products of blobs, broadcasts along an axis. The plain loops are in
// kernels/cpu/elementwise.rs; operations are in their order, each rounded by itself.
#include "reduce.cuh"

// The logistic function by way of tanh, which cannot overflow.
__device__ inline float sigmoid(float x) { return 0.5f * tanhf(0.5f * x) + 0.5f; }
__device__ inline float sign(float x) { return float(x > 0.0f) - float(x < 0.0f); }

KERNEL(fill, (float value, Count n, float* y)) {
    for EACH(i, n) y[i] = value;
}

KERNEL(axpby, (float a, float b, Count n, const float* x, float* y)) {
    for EACH(i, n) y[i] = a * x[i] + b * y[i];
}

// y = x / divisor[0], or zeros.
KERNEL(divide, (Count n, const float* x, const float* divisor, float* y)) {
    float d = divisor[0], factor = d == 0.0f ? 0.0f : 1.0f / d;
    for EACH(i, n) y[i] = factor * x[i] + 0.0f * y[i];
}

struct Blocks {
    Count count, len, from, from_step, to, to_step;
};
KERNEL(copy_blocks, (Blocks c, const float* x, float* y)) {
    for EACH(i, c.count * c.len) {
        Count at, block = divided(i, c.len, &at);
        y[c.to + block * c.to_step + at] = x[c.from + block * c.from_step + at];
    }
}

// The functions, numbered as in elementwise.rs beside this file.
struct Function {
    uint32_t which;
    float a, b, c;
};

__device__ inline float apply(const Function& f, float x) {
    switch (f.which) {
        case 0: return x > 0.0f ? x : f.a * x;                         // relu, slope a
        case 1: return x > 0.0f ? x : f.a * expm1f(x);                 // elu, alpha a
        case 2: return sigmoid(x);
        case 3: return tanhf(x);
        case 4: return fabsf(x);
        case 5: return f.b + f.c * x;                                  // power 1: shift b, scale c
        case 6: return powf(f.b + f.c * x, f.a);                       // power a
        case 7: return expf(f.a * (f.b + f.c * x));                    // exp: ln of the base a
        case 8: return logf(f.b + f.c * x) * f.a;                      // log: 1 / ln of the base a
        case 9: return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));       // bnll
        case 10: return fminf(fmaxf(x, f.a), f.b);                     // clip
        case 11: return x * sigmoid(f.a * x);                          // swish
        case 12: return x > f.a ? 1.0f : 0.0f;                         // threshold
        default: return x > 0.0f ? x : 0.0f;                           // 13: relu without a slope
    }
}

KERNEL(unary, (Function f, Count n, float* y)) {
    for EACH(i, n) y[i] = apply(f, y[i]);
}

__device__ inline float slope(const Function& f, float x, float y) {
    switch (f.which) {
        case 0: return x > 0.0f ? 1.0f : f.a;
        case 1: return x > 0.0f ? 1.0f : f.a + y;
        case 2: return y * (1.0f - y);
        case 3: return 1.0f - y * y;
        case 4: return sign(x);
        case 5: return f.a * f.c;                                      // powers 0 and 1, the power being a
        case 6: {
            float factor = f.a * f.c, z = f.b + f.c * x;
            return f.a == 2.0f ? factor * z : factor * powf(z, f.a - 1.0f);
        }
        case 7: return f.a * f.c * y;
        case 8: return f.c * f.a / (f.b + f.c * x);
        case 9: return sigmoid(x);
        case 10: return f.a <= x && x <= f.b ? 1.0f : 0.0f;
        case 11: return f.a * y + sigmoid(f.a * x) * (1.0f - f.a * y);
        case 12: return 0.0f;
        default: return x > 0.0f ? 1.0f : 0.0f;
    }
}

KERNEL(unary_back, (Function f, Count n, const float* x, const float* y, const float* dy, float* dx)) {
    for EACH(i, n) dx[i] = dy[i] * slope(f, x[i], y[i]);
}

KERNEL(relu_back, (float slope, Count n, const float* y, float* d)) {
    for EACH(i, n) d[i] = y[i] > 0.0f ? d[i] : slope * d[i];
}

KERNEL(prelu, (Axis v, Count n, const float* slope, float* y)) {
    for EACH(i, n) y[i] = y[i] > 0.0f ? y[i] : slope[along(v, i)] * y[i];
}

KERNEL(prelu_back, (Axis v, Count n, const float* slope, const float* x, const float* dy, float* dx)) {
    for EACH(i, n) dx[i] = x[i] > 0.0f ? dy[i] : slope[along(v, i)] * dy[i];
}

// A null pointer stands for ones, or zeros.
KERNEL(scale_bias, (Axis v, Count n, const float* scale, const float* bias, float* y)) {
    for EACH(i, n) {
        Count c = along(v, i);
        y[i] = y[i] * (scale ? scale[c] : 1.0f) + (bias ? bias[c] : 0.0f);
    }
}

// SplitMix64's output function.
__device__ inline uint64_t mix(uint64_t i) {
    uint64_t z = i + 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
KERNEL(dropout, (float scale, uint64_t bound, uint64_t seed, Count n, float* y)) {
    for EACH(i, n) y[i] = mix(seed ^ mix(i)) < bound ? 0.0f : y[i] * scale;
}

// Input number k joins what those before it made. How: 0 sum, 1 product, 2 the larger.
KERNEL(eltwise, (uint32_t how, uint32_t k, float c, Count n, const float* x, float* y)) {
    for EACH(i, n) {
        float v = x[i], old = k == 0 ? 0.0f : y[i];
        if (how == 0) {
            y[i] = k == 0 ? v * c : old + c * v;
        } else if (k == 0) {
            y[i] = v;
        } else if (how == 1) {
            y[i] = old * v;
        } else {
            y[i] = k == 1 ? (old > v ? old : v) : (v > old ? v : old);
        }
    }
}

// Which input is the largest so far, and how large, after input number k.
KERNEL(eltwise_best, (uint32_t k, Count n, const float* x, float* top, uint32_t* best)) {
    for EACH(i, n) {
        float v = x[i];
        bool better = k == 0 || (k == 1 ? !(top[i] > v) : v > top[i]);
        if (better) {
            top[i] = v;
            best[i] = k;
        }
    }
}
KERNEL(eltwise_pick, (uint32_t which, Count n, const uint32_t* best, const float* dy, float* dx)) {
    for EACH(i, n) dx[i] = best[i] == which ? dy[i] : 0.0f;
}

KERNEL(multiply, (Count n, const float* x, float* y)) {
    for EACH(i, n) y[i] *= x[i];
}
KERNEL(scaled, (float c, Count n, const float* x, float* y)) {
    for EACH(i, n) y[i] = x[i] * c;
}
