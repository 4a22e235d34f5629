// Numbers that the tensor cores take: how they are stored, and how sixteen bytes of them become f32 and back.
#pragma once
#include "mma.cuh"

struct F16 {
    static constexpr int BYTES = 2;
    typedef uint16_t Stored;
    __device__ static uint16_t from(float x) { return f16_from(x); }
    __device__ static float to(uint16_t x) { return f16_to(x); }
};
struct Bf16 {
    static constexpr int BYTES = 2;
    typedef uint16_t Stored;
    __device__ static uint16_t from(float x) { return bf16_from(x); }
    __device__ static float to(uint16_t x) { return bf16_to(x); }
};
// f32 whose mantissa has ten bits.
struct Tf32 {
    static constexpr int BYTES = 4;
    typedef float Stored;
    __device__ static float from(float x) { return __uint_as_float(to_tf32(x)); }
    __device__ static float to(float x) { return x; }
};

// Sixteen bytes.
template <class T>
struct Chunk {
    static constexpr int LEN = 16 / T::BYTES;
    float v[LEN];
    __device__ void load(const typename T::Stored* p) {
        union {
            uint4 whole;
            typename T::Stored part[LEN];
        } u;
        u.whole = __ldg(reinterpret_cast<const uint4*>(p));
#pragma unroll
        for (int i = 0; i < LEN; i++) v[i] = T::to(u.part[i]);
    }
    __device__ void store(typename T::Stored* p) const {
        union {
            uint4 whole;
            typename T::Stored part[LEN];
        } u;
#pragma unroll
        for (int i = 0; i < LEN; i++) u.part[i] = T::from(v[i]);
        *reinterpret_cast<uint4*>(p) = u.whole;
    }
};

#define FOR_EACH_NUMBER(DO) DO(f16, F16) DO(bf16, Bf16) DO(tf32, Tf32)
