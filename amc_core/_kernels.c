/* The simulator's inner loops on a CPU, each equal bit for bit to the torch expression named above it.
 *
 * Built by setuptools and called through ctypes (kernels.py), without Python's headers. It must be compiled without
 * contraction of a*b + c and without reassociation. Tensors are contiguous unless strides are given.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline)) /* so that each caller compiles it for its own target */

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#define HAVE_AVX2
#define AVX2 __attribute__((target("avx2")))
/* Compiled for the oldest processor of the kind, and for AVX2 where the processor at hand turns out to have it. */
#define KERNEL __attribute__((target_clones("avx2", "default"))) void
#else
#define KERNEL void
#endif

enum { LANES = 32, ROUNDS = 10 };
#define EACH_LANE for (int lane = 0; lane < LANES; lane++)

static const uint32_t MULTIPLIER0 = 0xD2511F53, MULTIPLIER1 = 0xCD9E8D57, WEYL0 = 0x9E3779B9, WEYL1 = 0xBB67AE85;

typedef struct {
    uint32_t key[2], stream;
    uint64_t index;
} Address;

/* What `_kernels.c` computes; raised with every change of a signature or of a bit, here and in kernels.py. */
int64_t version(void) { return 2; }

/* Philox-4x32-10 of the counters (position … position + LANES − 1, stream, index): words[k] is each one's k-th word. */
static void philox_plain(uint32_t words[4][LANES], const Address *address, uint32_t position) {
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

AVX2 static void philox_avx2(uint32_t words[4][LANES], const Address *address, uint32_t position) {
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
#define PHILOX(...) (__builtin_cpu_supports("avx2") ? philox_avx2(__VA_ARGS__) : philox_plain(__VA_ARGS__))
#else
#define PHILOX(...) philox_plain(__VA_ARGS__)
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

/* Σ coefficients[k]·x^k, in the order of exactmath.polynomial. */
INLINE float polynomial(float x, const float *coefficients, int count) {
    float value = x * coefficients[count - 1] + coefficients[count - 2];
    for (int k = count - 3; k >= 0; k--) value = value * x + coefficients[k];
    return value;
}

static const float ARTANH[] = {1, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9};
static const float COSINE[] = {1, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600};
static const float SINE[] = {1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};

/* exactmath._cos_sin_series(angle). */
INLINE void series(float angle, float *cosine, float *sine) {
    *cosine = polynomial(angle * angle, COSINE, 7), *sine = angle * polynomial(angle * angle, SINE, 6);
}

/* exactmath.square_root(x). */
INLINE float square_root(float x) {
    x = x < 1e-30f ? 1e-30f : x;
    return x * (1.0f / sqrtf(x));
}

/* randomness._box_muller(radius_word, angle_word). */
INLINE void box_muller(const uint32_t radius_words[LANES], const uint32_t angle_words[LANES], float *i, float *q) {
    EACH_LANE {
        /* Both halves are exact in float32 and so their sum is rounded once; signed conversions are the fast ones. */
        uint32_t word = radius_words[lane];
        float rounded = (float)(int32_t)(word >> 16) * 65536.0f + (float)(int32_t)(word & 0xFFFF);
        int32_t bits = (int32_t)as_bits((rounded + 0.5f) * 0x1p-32f) - 0x3F3504F3;
        float exponent = (float)(bits >> 23), mantissa = as_float((bits & 0x7FFFFF) + 0x3F3504F3);
        float s = (mantissa - 1.0f) / (mantissa + 1.0f);
        float square = exponent * (float)(-2 * 0.693147180559945309) - s * polynomial(s * s, ARTANH, 5) * 4.0f;
        float radius = square_root(square);

        word = angle_words[lane];
        float angle = ((float)(int32_t)(word >> 10) + 0.5f) * (float)(1.57079632679489662 * 0x1p-22);
        float cosine, sine;
        series(angle, &cosine, &sine);
        i[lane] = radius * as_float(as_bits(cosine) ^ word << 31); /* bits 0 and 1 are the signs */
        q[lane] = radius * as_float(as_bits(sine) ^ (word & 2) << 30);
    }
}

INLINE void copy(float *to, const float from[LANES], int64_t room) {
    if (room > 0) memcpy(to, from, (room < LANES ? room : LANES) * sizeof *to);
}

INLINE void fill_normals(const Address *address, int64_t count, float *out) {
    uint32_t words[4][LANES];
    float i[LANES], q[LANES];
    int64_t half = (count + 1) / 2; /* a counter's first two words give a sample of the first half, the others … */
    for (int64_t at = 0; at < half; at += LANES) {
        PHILOX(words, address, (uint32_t)at);
        for (int part = 0; part < 2; part++) {
            float *to = out + part * half + at;
            int64_t room = (part ? count - half : half) - at;
            box_muller(words[2 * part], words[2 * part + 1], i, q);
            copy(to, i, room);
            copy(to + count, q, room);
        }
    }
}

INLINE void fill_integers(const Address *address, int64_t count, uint64_t below, int64_t *out) {
    uint32_t words[4][LANES];
    for (int64_t at = 0; at < count; at += 4 * LANES) {
        PHILOX(words, address, (uint32_t)(at / 4));
        int64_t room = count - at < 4 * LANES ? count - at : 4 * LANES;
        for (int64_t n = 0; n < room; n++) out[at + n] = (int64_t)(words[n % 4][n / 4] * below >> 32);
    }
}

INLINE Address address_of(const int64_t *keys, const int64_t *indices, int64_t stream, int64_t row) {
    Address address = {{(uint32_t)keys[2 * row], (uint32_t)keys[2 * row + 1]}, (uint32_t)stream, (uint64_t)indices[row]};
    return address;
}

/* randomness._torch_normals: keys (batch, 2), indices (batch,) → out (batch, 2, count). */
KERNEL complex_normal(
    int64_t stream, int64_t batch, int64_t count, const int64_t *keys, const int64_t *indices, float *out) {
    for (int64_t row = 0; row < batch; row++) {
        Address address = address_of(keys, indices, stream, row);
        fill_normals(&address, count, out + 2 * row * count);
    }
}

/* randomness._torch_integers: keys (batch, 2), indices and below (batch,) → out (batch, count). */
KERNEL integers(
    int64_t stream, int64_t batch, int64_t count, const int64_t *keys, const int64_t *indices, const int64_t *below,
    int64_t *out) {
    for (int64_t row = 0; row < batch; row++) {
        Address address = address_of(keys, indices, stream, row);
        fill_integers(&address, count, (uint64_t)below[row], out + row * count);
    }
}

/* exactmath._torch_cos_sin(turns) of one number. */
INLINE void turned(float turns, float *cosine, float *sine) {
    float quarters = rintf(turns * 4.0f), c, s;
    series((turns - quarters * 0.25f) * (float)(2 * 3.14159265358979324), &c, &s);
    uint32_t quadrant = (uint32_t)(int32_t)quarters;
    *cosine = as_float(as_bits(quadrant & 1 ? s : c) ^ ((quadrant + 1) & 2) << 30);
    *sine = as_float(as_bits(quadrant & 1 ? c : s) ^ (quadrant & 2) << 30);
}

/* exactmath._torch_cos_sin: turns, cosine and sine (count,). */
KERNEL cos_sin(int64_t count, const float *restrict turns, float *restrict cosine, float *restrict sine) {
    for (int64_t n = 0; n < count; n++) turned(turns[n], cosine + n, sine + n);
}

/* exactmath.halved_sum: the sum over the rows of terms (count, width), left in the first row. */
INLINE void halved_sum(float *terms, int64_t count, int64_t width) {
    for (int64_t half; count > 1; count = half) {
        half = (count + 1) / 2;
        for (int64_t n = 0; n < (count - half) * width; n++) terms[n] += terms[n + half * width];
    }
}

/* audio._torch_wave_sums: times (knots,); frequency, phase and weights (batch, lines) → sums (2, batch, knots), of
 * cosines and sines. scratch: (2, lines, LANES). */
KERNEL wave_sums(
    int64_t batch, int64_t lines, int64_t knots, const float *times, const float *frequency, const float *phase,
    const float *cosine_weight, const float *sine_weight, float *scratch, float *sums) {
    float *restrict cosines = scratch, *restrict sines = scratch + lines * LANES;
    for (int64_t row = 0; row < batch; row++) {
        for (int64_t at = 0; at < knots; at += LANES) {
            float t[LANES] = {0};
            copy(t, times + at, knots - at);
            for (int64_t line = 0; line < lines; line++) {
                int64_t here = row * lines + line;
                float f = frequency[here], start = phase[here], a = cosine_weight[here], b = sine_weight[here];
                EACH_LANE {
                    float cosine, sine;
                    turned(f * t[lane] + start, &cosine, &sine);
                    cosines[line * LANES + lane] = a * cosine, sines[line * LANES + lane] = b * sine;
                }
            }
            halved_sum(cosines, lines, LANES);
            halved_sum(sines, lines, LANES);
            copy(sums + row * knots + at, cosines, knots - at);
            copy(sums + (batch + row) * knots + at, sines, knots - at);
        }
    }
}

/* Adds one path's h(t)·s(t) to a stretch of the received signal; the parts of h are the cubics a and b. */
INLINE void add_path(
    int64_t count, const float *restrict i, const float *restrict q, const float *restrict places,
    const float *restrict a, const float *restrict b, float *restrict received_i, float *restrict received_q) {
    for (int64_t n = 0; n < count; n++) {
        float re = polynomial(places[n], a, 4), im = polynomial(places[n], b, 4);
        received_i[n] += i[n] * re - q[n] * im;
        received_q[n] += i[n] * im + q[n] * re;
    }
}

/* channels.Fading._torch_through_paths: i and q (batch, paths, length) with a stride for each of the first two; places
 * (block,); coefficients (batch, paths, 2, blocks, 4) → received (batch, 2, length). */
KERNEL through_paths(
    int64_t batch, int64_t paths, int64_t length, int64_t block, int64_t i_row, int64_t i_path, int64_t q_row,
    int64_t q_path, const float *i, const float *q, const float *places, const float *coefficients, float *received) {
    memset(received, 0, batch * 2 * length * sizeof *received);
    for (int64_t row = 0; row < batch; row++, received += 2 * length)
        for (int64_t path = 0; path < paths; path++) {
            const float *here_i = i + row * i_row + path * i_path, *here_q = q + row * q_row + path * q_path;
            int64_t blocks = (length + block - 1) / block;
            const float *a = coefficients + (row * paths + path) * 2 * blocks * 4, *b = a + blocks * 4;
            for (int64_t at = 0; at < length; at += block, a += 4, b += 4) {
                int64_t count = length - at < block ? length - at : block;
                float *to = received + at;
                add_path(count, here_i + at, here_q + at, places, a, b, to, to + length);
            }
        }
}

/* simulator._power of one signal, i and q (length,). scratch: (length,). */
INLINE float power(const float *i, const float *q, int64_t length, float *restrict scratch) {
    for (int64_t n = 0; n < length; n++) scratch[n] = i[n] * i[n] + q[n] * q[n];
    halved_sum(scratch, length, 1);
    return scratch[0] / (float)length;
}

/* noise._torch_receive: signal (batch, 2, length), noise_power (batch,) → rows (batch,) of out (…, 2, length).
 * scratch: (length,). */
KERNEL receive(
    int64_t stream, int64_t batch, int64_t length, const int64_t *keys, const int64_t *indices, const int64_t *rows,
    const float *noise_power, const float *signal, float *scratch, float *out) {
    for (int64_t row = 0; row < batch; row++) {
        Address address = address_of(keys, indices, stream, row);
        float *restrict received = out + rows[row] * 2 * length;
        const float *i = signal + row * 2 * length, *q = i + length;
        fill_normals(&address, length, received);
        float scale = square_root(power(i, q, length, scratch) * (noise_power[row] * 0.5f));
        for (int64_t n = 0; n < length; n++) received[n] = i[n] + received[n] * scale;
        for (int64_t n = 0; n < length; n++) received[length + n] = q[n] + received[length + n] * scale;
        float gain = 1.0f / square_root(power(received, received + length, length, scratch));
        for (int64_t n = 0; n < 2 * length; n++) received[n] *= gain;
    }
}

/* Σ_t weights[t]·values[n + t], the terms added in turn, for 16 numbers n and three rows of weights and sums. */
INLINE void three_filters(
    int64_t taps, const float *weights, const float *values, int64_t width, float *restrict sums) {
    typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
    const float *first = weights, *second = first + taps, *third = second + taps;
    Eight a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0};
    for (int64_t t = 0; t < taps; t++) {
        Eight v0 = *(const Eight *)(values + t), v1 = *(const Eight *)(values + t + 8);
        a0 += first[t] * v0, a1 += first[t] * v1;
        b0 += second[t] * v0, b1 += second[t] * v1;
        c0 += third[t] * v0, c1 += third[t] * v1;
    }
    Eight *to[] = {(Eight *)sums, (Eight *)(sums + width), (Eight *)(sums + 2 * width)};
    to[0][0] = a0, to[0][1] = a1, to[1][0] = b0, to[1][1] = b1, to[2][0] = c0, to[2][1] = c1;
}

/* pulse_train.VariedTrain._torch_evaluate: node_weights (batch, nodes), table (nodes, 9·taps), symbols (batch,
 * pieces + taps − 1), older (batch, pieces) or null, start (batch, paths), step (batch,) → out (batch, paths, length).
 * before: the whole part of the times in the first piece. scratch: (9·taps + 10·width + taps,), where width is pieces
 * rounded up to a multiple of 16. */
KERNEL varied_train(
    int64_t batch, int64_t paths, int64_t length, int64_t nodes, int64_t taps, int64_t pieces, int64_t before,
    const float *node_weights, const float *table, const float *symbols, const float *older, const double *start,
    const double *step, float *scratch, float *out) {
    int64_t width = (pieces + 15) / 16 * 16;
    double earliest = (double)before, latest = (double)(before + pieces - 1);
    float *restrict coefficients = scratch, *piece = scratch + 9 * taps, *own = piece + 9 * width;
    memset(own, 0, (width + taps) * sizeof *own);
    for (int64_t row = 0; row < batch; row++) {
        memset(coefficients, 0, 9 * taps * sizeof *coefficients);
        for (int64_t node = 0; node < nodes; node++) {
            float weight = node_weights[row * nodes + node];
            for (int64_t n = 0; n < 9 * taps; n++) coefficients[n] += weight * table[node * 9 * taps + n];
        }
        memcpy(own, symbols + row * (pieces + taps - 1), (pieces + taps - 1) * sizeof *own);
        for (int power = 0; power < 9; power += 3)
            for (int64_t at = 0; at < width; at += 16)
                three_filters(taps, coefficients + power * taps, own + at, width, piece + power * width + at);
        for (int64_t n = 0; older && n < pieces; n++) piece[n] += older[row * pieces + n];
        for (int64_t path = 0; path < paths; path++) {
            double first = start[row * paths + path], by = step[row];
            float *to = out + (row * paths + path) * length;
            for (int64_t at = 0; at < length; at += LANES) {
                float x[LANES], value[LANES];
                int32_t place[LANES];
                EACH_LANE {
                    double time = first + by * (double)(int32_t)(at + lane), whole = floor(time);
                    whole = whole < earliest ? earliest : whole > latest ? latest : whole;
                    x[lane] = (float)((time - whole) * 2.0 - 1.0), place[lane] = (int32_t)(whole - earliest);
                }
                EACH_LANE {
                    const float *c = piece + place[lane];
                    value[lane] = c[8 * width];
                    for (int power = 7; power >= 0; power--) value[lane] = value[lane] * x[lane] + c[power * width];
                }
                copy(to + at, value, length - at);
            }
        }
    }
}
