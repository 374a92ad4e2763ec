/* The random numbers of randomness.py on a CPU, equal to it bit for bit, many counters side by side.
 *
 * Built by setuptools and called through ctypes, without Python's headers. It must be compiled without contraction
 * of a*b + c and without reassociation; the order of operations is that of exactmath.py.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline)) /* so that each caller compiles it for its own target */
#else
#define INLINE static inline
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2
#define AVX2 __attribute__((target("avx2")))
#endif

enum { LANES = 32, ROUNDS = 10 };
#define EACH_LANE for (int lane = 0; lane < LANES; lane++)

static const uint32_t MULTIPLIER0 = 0xD2511F53, MULTIPLIER1 = 0xCD9E8D57, WEYL0 = 0x9E3779B9, WEYL1 = 0xBB67AE85;

typedef struct {
    uint32_t key[2], stream;
    uint64_t index;
} Address;

/* Philox-4x32-10 of the counters (position … position + LANES − 1, stream, index): words[k] is each one's k-th word. */
typedef void Philox(uint32_t words[4][LANES], const Address *address, uint32_t position);

INLINE void philox_plain(uint32_t words[4][LANES], const Address *address, uint32_t position) {
    EACH_LANE {
        uint32_t c0 = position + lane, c1 = address->stream;
        uint32_t c2 = (uint32_t)address->index, c3 = (uint32_t)(address->index >> 32);
        uint32_t k0 = address->key[0], k1 = address->key[1];
        for (int round = 0; round < ROUNDS; round++, k0 += WEYL0, k1 += WEYL1) {
            uint64_t p0 = (uint64_t)c0 * MULTIPLIER0, p1 = (uint64_t)c2 * MULTIPLIER1;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, c1 = (uint32_t)p1;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1, c3 = (uint32_t)p0;
        }
        words[0][lane] = c0, words[1][lane] = c1, words[2][lane] = c2, words[3][lane] = c3;
    }
}

#ifdef HAVE_AVX2
/* Compilers spend three quarters of the plain loop on moving words in and out of 64-bit products. Here each word stays
 * in the lower half of a 64-bit lane, where vpmuludq reads it; the upper halves hold what nobody reads. */
typedef uint64_t Four __attribute__((vector_size(32)));
#define PRODUCT(words, multiplier) ((Four)_mm256_mul_epu32((__m256i)(words), _mm256_set1_epi64x(multiplier)))
#define STORE_LOWER(to, x, y) _mm256_storeu_ps((float *)(to), _mm256_shuffle_ps((__m256)(x), (__m256)(y), 0x88))

AVX2 static inline void philox_avx2(uint32_t words[4][LANES], const Address *address, uint32_t position) {
    const Four zero = {0};
    for (int lane = 0; lane < LANES; lane += 8) {
        uint64_t first = position + lane, k0 = address->key[0], k1 = address->key[1];
        Four a0 = (Four){0, 1, 4, 5} + first, b0 = (Four){2, 3, 6, 7} + first; /* the order that STORE_LOWER undoes */
        Four a1 = zero + address->stream, a2 = zero + address->index, a3 = zero + (address->index >> 32);
        Four b1 = a1, b2 = a2, b3 = a3;
        for (int round = 0; round < ROUNDS; round++, k0 += WEYL0, k1 += WEYL1) {
            Four p0 = PRODUCT(a0, MULTIPLIER0), p1 = PRODUCT(a2, MULTIPLIER1);
            Four q0 = PRODUCT(b0, MULTIPLIER0), q1 = PRODUCT(b2, MULTIPLIER1);
            a0 = (p1 >> 32) ^ a1 ^ k0, a1 = p1, a2 = (p0 >> 32) ^ a3 ^ k1, a3 = p0;
            b0 = (q1 >> 32) ^ b1 ^ k0, b1 = q1, b2 = (q0 >> 32) ^ b3 ^ k1, b3 = q0;
        }
        STORE_LOWER(words[0] + lane, a0, b0);
        STORE_LOWER(words[1] + lane, a1, b1);
        STORE_LOWER(words[2] + lane, a2, b2);
        STORE_LOWER(words[3] + lane, a3, b3);
    }
}
#endif

INLINE float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t as_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Σ coefficients[k]·x^k, in the order of exactmath.py's _polynomial. */
INLINE float polynomial(float x, const float *coefficients, int count) {
    float value = x * coefficients[count - 1] + coefficients[count - 2];
    for (int k = count - 3; k >= 0; k--) value = value * x + coefficients[k];
    return value;
}

static const float ARTANH[] = {1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9};
static const float COSINE[] = {1, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600};
static const float SINE[] = {1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};

/* minus_2_log, square_root and random_cos_sin of exactmath.py, as in randomness.py's _box_muller. */
INLINE void box_muller(const uint32_t radius_words[LANES], const uint32_t angle_words[LANES], float *i, float *q) {
    EACH_LANE {
        /* Both halves are exact in float32 and so their sum is rounded once; signed conversions are the fast ones. */
        uint32_t word = radius_words[lane];
        float rounded = (float)(int32_t)(word >> 16) * 65536.0f + (float)(int32_t)(word & 0xFFFF);
        int32_t bits = (int32_t)as_bits((rounded + 0.5f) * 0x1p-32f) - 0x3F3504F3;
        float exponent = (float)(bits >> 23), mantissa = as_float((bits & 0x7FFFFF) + 0x3F3504F3);
        float s = (mantissa - 1.0f) / (mantissa + 1.0f);
        float square = exponent * (float)(-2 * 0.693147180559945309) - s * polynomial(s * s, ARTANH, 5) * 4.0f;
        square = square < 1e-30f ? 1e-30f : square;
        float radius = square * (1.0f / sqrtf(square));

        word = angle_words[lane];
        float angle = ((float)(int32_t)(word >> 10) + 0.5f) * (float)(1.57079632679489662 * 0x1p-22);
        float cosine = polynomial(angle * angle, COSINE, 7), sine = angle * polynomial(angle * angle, SINE, 6);
        i[lane] = radius * as_float(as_bits(cosine) ^ word << 31); /* bits 0 and 1 are the signs */
        q[lane] = radius * as_float(as_bits(sine) ^ (word & 2) << 30);
    }
}

INLINE void copy(float *to, const float from[LANES], int64_t room) {
    if (room > 0) memcpy(to, from, (room < LANES ? room : LANES) * sizeof *to);
}

INLINE void fill_normals(Philox *philox, const Address *address, int64_t count, float *out) {
    uint32_t words[4][LANES];
    float i[LANES], q[LANES];
    int64_t half = (count + 1) / 2; /* a counter's first two words give a sample of the first half, the others … */
    for (int64_t at = 0; at < half; at += LANES) {
        philox(words, address, (uint32_t)at);
        for (int part = 0; part < 2; part++) {
            float *to = out + part * half + at;
            int64_t room = (part ? count - half : half) - at;
            box_muller(words[2 * part], words[2 * part + 1], i, q);
            copy(to, i, room);
            copy(to + count, q, room);
        }
    }
}

INLINE void fill_integers(Philox *philox, const Address *address, int64_t count, uint64_t below, int64_t *out) {
    uint32_t words[4][LANES];
    for (int64_t at = 0; at < count; at += 4 * LANES) {
        philox(words, address, (uint32_t)(at / 4));
        int64_t room = count - at < 4 * LANES ? count - at : 4 * LANES;
        for (int64_t n = 0; n < room; n++) out[at + n] = (int64_t)(words[n % 4][n / 4] * below >> 32);
    }
}

/* Both compiled for the oldest processor of the kind, and for AVX2 where the processor at hand turns out to have it. */
static void normals_plain(const Address *address, int64_t count, float *out) {
    fill_normals(philox_plain, address, count, out);
}

static void integers_plain(const Address *address, int64_t count, uint64_t below, int64_t *out) {
    fill_integers(philox_plain, address, count, below, out);
}

#ifdef HAVE_AVX2
AVX2 static void normals_avx2(const Address *address, int64_t count, float *out) {
    fill_normals(philox_avx2, address, count, out);
}

AVX2 static void integers_avx2(const Address *address, int64_t count, uint64_t below, int64_t *out) {
    fill_integers(philox_avx2, address, count, below, out);
}
#define BEST(function) (__builtin_cpu_supports("avx2") ? function##_avx2 : function##_plain)
#else
#define BEST(function) function##_plain
#endif

INLINE Address address_of(const int64_t *keys, const int64_t *indices, int64_t stream, int64_t row) {
    Address address = {{(uint32_t)keys[2 * row], (uint32_t)keys[2 * row + 1]}, (uint32_t)stream, (uint64_t)indices[row]};
    return address;
}

/* keys (batch, 2), indices (batch,), out (batch, 2, count). */
void complex_normal(
    int64_t stream, int64_t batch, int64_t count, const int64_t *keys, const int64_t *indices, float *out) {
    for (int64_t row = 0; row < batch; row++) {
        Address address = address_of(keys, indices, stream, row);
        BEST(normals)(&address, count, out + 2 * row * count);
    }
}

/* keys (batch, 2), indices and below (batch,), out (batch, count). */
void integers(
    int64_t stream, int64_t batch, int64_t count, const int64_t *keys, const int64_t *indices, const int64_t *below,
    int64_t *out) {
    for (int64_t row = 0; row < batch; row++) {
        Address address = address_of(keys, indices, stream, row);
        BEST(integers)(&address, count, (uint64_t)below[row], out + row * count);
    }
}
