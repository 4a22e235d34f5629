// Weights changed by their gradients, and rows of tables. The plain loops are in kernels/cpu/update.rs and embed.rs;
// operations are in their order, each rounded by itself: the bits are the CPU's.
#include "reduce.cuh"

// The rule's numbers as in update.rs beside this file.
struct Update {
    uint32_t rule;
    float rate, clip, average, l1, l2, momentum, second, delta;
};

__device__ inline float step(const Update& u, float g, float* h, float* k) {
    float m = u.momentum;
    switch (u.rule) {
        case 0:  // SGD
            *h = u.rate * g + m * *h;
            return *h;
        case 1: {  // Nesterov
            float old = *h;
            *h = u.rate * g + m * old;
            return (1.0f + m) * *h + -m * old;
        }
        case 2:  // AdaGrad
            *h += g * g;
            return u.rate * (g / (sqrtf(*h) + u.delta));
        case 3:  // RMSProp
            *h = (1.0f - m) * (g * g) + m * *h;
            return u.rate * (g / (sqrtf(*h) + u.delta));
        case 4: {  // AdaDelta
            *h = (1.0f - m) * (g * g) + m * *h;
            float s = g * sqrtf((u.delta + *k) / (u.delta + *h));
            *k = (1.0f - m) * (s * s) + m * *k;
            return u.rate * s;
        }
        default:  // Adam; the rate holds the correction
            *h = (1.0f - m) * g + m * *h;
            *k = (1.0f - u.second) * (g * g) + u.second * *k;
            return u.rate * (*h / (sqrtf(*k) + u.delta));
    }
}

// `k` is null for rules with one history.
KERNEL(update, (Update u, Count n, float* w, const float* g, float* h, float* k)) {
    for EACH(i, n) {
        float weight = w[i], first = h[i], second = k ? k[i] : 0.0f;
        float sign = float(weight > 0.0f) - float(weight < 0.0f);
        float gradient = g[i] * u.clip * u.average + u.l2 * weight + u.l1 * sign;
        w[i] = weight - step(u, gradient, &first, &second);
        h[i] = first;
        if (k) k[i] = second;
    }
}

// The row that an index names, or -1; the index as Rust's `as i32` has it.
__device__ inline int row_of(float index, Count rows) {
    if (!(index == index)) return 0;
    if (index >= 2147483648.0f || index <= -1.0f) return -1;
    return Count(int(index)) < rows ? int(index) : -1;
}

KERNEL(embed, (Count rows, Count outputs, Count n, const float* indices, const float* weight, const float* bias,
               float* y)) {
    for EACH(i, n) {
        Count o, which = divided(i, outputs, &o);
        int row = row_of(indices[which], rows);
        float value = row < 0 ? 0.0f : weight[row * outputs + o];
        y[i] = bias ? value + bias[o] : value;
    }
}

// A block for each row of the table, which looks for itself among the indices.
KERNEL(embed_back, (Count rows, Count outputs, Count count, uint32_t add, const float* indices, const float* dy,
                    float* dw)) {
    for (Count row = blockIdx.x; row < rows; row += gridDim.x)
        for (Count o = threadIdx.x; o < outputs; o += blockDim.x) {
            float sum = add ? dw[row * outputs + o] : 0.0f;
            for (Count i = 0; i < count; i++)
                if (row_of(indices[i], rows) == int(row)) sum += dy[i * outputs + o];
            dw[row * outputs + o] = sum;
        }
}
