// Included by kernels_<set>.cpp, which define FLANMOE_ISA (a namespace name). Nothing here may have external linkage but `table`, and no
// template of the standard library is used: the linker could pick a copy made for a processor that is not there.
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
// gcc 12 warns of its own _mm512_undefined_*
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#endif

#include "ops/cpu/kernels.h"

namespace flanmoe::ops::cpu::FLANMOE_ISA {
namespace {

// ---- vectors -------------------------------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
typedef float VectorF __attribute__((vector_size(kVectorBytes)));
typedef int32_t VectorI __attribute__((vector_size(kVectorBytes)));
typedef double VectorD __attribute__((vector_size(kVectorBytes)));
typedef int64_t VectorL __attribute__((vector_size(kVectorBytes)));
typedef uint64_t VectorU __attribute__((vector_size(kVectorBytes)));
constexpr int kNumWords = kVectorBytes / 8;

template <class A>
struct VectorOf {};
template <>
struct VectorOf<float> {
  using Type = VectorF;
};
template <>
struct VectorOf<double> {
  using Type = VectorD;
};
template <class A>
using Vector = typename VectorOf<A>::Type;
template <class A>
constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(A));

// How much of a vector counts: all of it, or the first `count` elements.
struct Full {
  static constexpr bool is_full = true;
};
struct Part {
  static constexpr bool is_full = false;
  int count;
};

template <class A>
inline Vector<A> splat(A value) {
#if defined(__AVX512F__)
  if constexpr (sizeof(A) == 4)
    return (Vector<A>)_mm512_set1_ps(value);
  else
    return (Vector<A>)_mm512_set1_pd(value);
#elif defined(__AVX2__)
  if constexpr (sizeof(A) == 4)
    return (Vector<A>)_mm256_set1_ps(value);
  else
    return (Vector<A>)_mm256_set1_pd(value);
#else
  Vector<A> v{};
  for (int i = 0; i < kWidth<A>; ++i) v[i] = value;
  return v;
#endif
}
template <class To, class From>
inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

inline float to_float(Bf16 x) { return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
inline Bf16 to_bf16(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return Bf16{static_cast<uint16_t>((bits >> 16) | 0x40)};
  return Bf16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}
inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(Bf16 x) { return to_float(x); }
inline void narrow(float x, float* p) { *p = x; }
inline void narrow(double x, double* p) { *p = x; }
inline void narrow(float x, Bf16* p) { *p = to_bf16(x); }

template <class A>
inline Vector<A> load_vector(const A* p) {
  Vector<A> v;
  memcpy(&v, p, sizeof(v));
  return v;
}
#if defined(__AVX512F__)
inline VectorF widen_bf16(__m256i x) { return (VectorF)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16); }
inline __m256i narrow_bf16(VectorF v) {
  const __m512i bits = (__m512i)v;
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  const __mmask16 is_nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, is_nan, quiet));
}
inline VectorF load_vector(const Bf16* p) { return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline void store_vector(Bf16* p, VectorF v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bf16(v)); }
#elif defined(__AVX2__)
inline VectorF load_vector(const Bf16* p) {
  return (VectorF)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16);
}
inline void store_vector(Bf16* p, VectorF v) {
  const __m256i bits = (__m256i)v;
  const __m256i top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  const __m256i is_nan = (__m256i)_mm256_cmp_ps((__m256)v, (__m256)v, _CMP_UNORD_Q);
  const __m256i words = _mm256_blendv_epi8(rounded, quiet, is_nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
#else
inline VectorF load_vector(const Bf16* p) {
  VectorF v{};
  for (int i = 0; i < kWidth<float>; ++i) v[i] = to_float(p[i]);
  return v;
}
inline void store_vector(Bf16* p, VectorF v) {
  for (int i = 0; i < kWidth<float>; ++i) p[i] = to_bf16(v[i]);
}
#endif
inline void store_vector(float* p, VectorF v) { memcpy(p, &v, sizeof(v)); }
inline void store_vector(double* p, VectorD v) { memcpy(p, &v, sizeof(v)); }

template <class T>
inline Vector<Accumulator<T>> load(const T* p, Full, Accumulator<T> = 0) {
  return load_vector(p);
}
template <class T>
inline Vector<Accumulator<T>> load(const T* p, Part part, Accumulator<T> fill = 0) {
  using A = Accumulator<T>;
  Vector<A> v = splat<A>(fill);
  for (int i = 0; i < part.count; ++i) v[i] = widen(p[i]);
  return v;
}
template <class T>
inline void store(T* p, Vector<Accumulator<T>> v, Full) {
  store_vector(p, v);
}
template <class T>
inline void store(T* p, Vector<Accumulator<T>> v, Part part) {
  for (int i = 0; i < part.count; ++i) narrow(v[i], p + i);
}
#if defined(__AVX512F__)
inline VectorF load(const float* p, Part part, float fill = 0) {
  return (VectorF)_mm512_mask_loadu_ps((__m512)splat<float>(fill), static_cast<__mmask16>((1u << part.count) - 1), p);
}
inline VectorF load(const Bf16* p, Part part, float fill = 0) {
  const __mmask16 mask = static_cast<__mmask16>((1u << part.count) - 1);
  return (VectorF)_mm512_mask_mov_ps((__m512)splat<float>(fill), mask, (__m512)widen_bf16(_mm256_maskz_loadu_epi16(mask, p)));
}
inline void store(float* p, VectorF v, Part part) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << part.count) - 1), (__m512)v); }
inline void store(Bf16* p, VectorF v, Part part) {
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << part.count) - 1), narrow_bf16(v));
}
#elif defined(__AVX2__)
inline __m256i first_words(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline VectorF load(const float* p, Part part, float fill = 0) {
  const __m256i mask = first_words(part.count);
  return (VectorF)_mm256_blendv_ps((__m256)splat<float>(fill), _mm256_maskload_ps(p, mask), (__m256)mask);
}
inline void store(float* p, VectorF v, Part part) { _mm256_maskstore_ps(p, first_words(part.count), (__m256)v); }
#endif

inline VectorF fma(VectorF a, VectorF b, VectorF c) {
#if defined(__AVX512F__)
  return (VectorF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (VectorF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}
inline VectorD fma(VectorD a, VectorD b, VectorD c) { return a * b + c; }

// The larger one; a NaN in either wins in b only, so that max over a row keeps a NaN once the accumulator is a.
inline VectorF larger(VectorF a, VectorF b) { return a > b ? a : b; }
inline VectorD larger(VectorD a, VectorD b) { return a > b ? a : b; }

// Sum and maximum of the elements, halves folded onto each other.
inline float fold(VectorF v, bool is_sum) {
#if defined(__AVX512F__)
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd((__m512d)v, 1)), lower = _mm512_castps512_ps256((__m512)v);
  const __m256 eight = is_sum ? _mm256_add_ps(upper, lower) : _mm256_max_ps(upper, lower);
#elif defined(__AVX2__)
  const __m256 eight = (__m256)v;
#endif
#if defined(__AVX2__)
  const __m128 high = _mm256_extractf128_ps(eight, 1), low = _mm256_castps256_ps128(eight);
  __m128 four = is_sum ? _mm_add_ps(high, low) : _mm_max_ps(high, low);
  const __m128 swapped = _mm_movehl_ps(four, four);
  four = is_sum ? _mm_add_ps(four, swapped) : _mm_max_ps(four, swapped);
  const __m128 second = _mm_shuffle_ps(four, four, 1);
  return _mm_cvtss_f32(is_sum ? _mm_add_ss(four, second) : _mm_max_ss(four, second));
#else
  for (int width = kWidth<float> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] = is_sum ? v[i] + v[i + width] : v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
#endif
}
inline double fold(VectorD v, bool is_sum) {
  for (int width = kWidth<double> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] = is_sum ? v[i] + v[i + width] : v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
}
inline float sum_elements(VectorF v) { return fold(v, true); }
inline double sum_elements(VectorD v) { return fold(v, true); }
inline float largest_element(VectorF v) { return fold(v, false); }
inline double largest_element(VectorD v) { return fold(v, false); }

// e^x, at most 2 ulp; 0 below -104, inf above 88.8. The power of two is applied in two steps to reach subnormals and the last octave.
inline VectorF exp_vector(VectorF x) {
  const VectorF low = splat<float>(-104.f), high = splat<float>(89.f);
  x = x < low ? low : x;
  x = x > high ? high : x;
  const VectorF magic = splat<float>(12582912.f);  // 1.5 * 2^23: rounds to an integer
  const VectorF shifted = fma(x, splat<float>(1.44269504088896341f), magic);
  const VectorF n = shifted - magic;
  VectorF r = fma(n, splat<float>(-0.693359375f), x);
  r = fma(n, splat<float>(2.12194440e-4f), r);
  VectorF p = splat<float>(1.9875691500e-4f);
  p = fma(p, r, splat<float>(1.3981999507e-3f));
  p = fma(p, r, splat<float>(8.3334519073e-3f));
  p = fma(p, r, splat<float>(4.1665795894e-2f));
  p = fma(p, r, splat<float>(1.6666665459e-1f));
  p = fma(p, r, splat<float>(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.f;
#if defined(__AVX512F__)
  return (VectorF)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  const VectorI exponent = bit_cast<VectorI>(shifted) - bit_cast<VectorI>(magic);
  const VectorI half = exponent >> 1;
  return p * bit_cast<VectorF>((half + 127) << 23) * bit_cast<VectorF>((exponent - half + 127) << 23);
#endif
}
inline VectorD exp_vector(VectorD x) {
  VectorD y{};
  for (int i = 0; i < kWidth<double>; ++i) y[i] = ::exp(x[i]);
  return y;
}
inline float log_scalar(float x) { return ::logf(x); }
inline double log_scalar(double x) { return ::log(x); }
inline float sqrt_scalar(float x) { return ::sqrtf(x); }
inline double sqrt_scalar(double x) { return ::sqrt(x); }
template <class A>
constexpr A kInfinity = static_cast<A>(__builtin_inf());

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// body(offset, Full or Part) over [0, n) in steps of a vector of A.
template <class A, class Body>
inline void for_vectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kWidth<A> <= n; i += kWidth<A>) body(i, Full{});
  if (i < n) body(i, Part{static_cast<int>(n - i)});
}
constexpr int64_t kMinParallelWork = 16384;

// ---- norm ----------------------------------------------------------------------------------------------------------------------------

template <class T>
void rms_norm(const T* x, const Accumulator<T>* weight, double eps, T* y, Accumulator<T>* inverse_rms, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* x_row = x + r * columns;
    T* y_row = y + r * columns;
    Vector<A> squares{};
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> v = load(x_row + i, part);
      squares = fma(v, v, squares);
    });
    const A inverse = A(1) / sqrt_scalar(sum_elements(squares) / static_cast<A>(columns) + static_cast<A>(eps));
    if (inverse_rms) inverse_rms[r] = inverse;
    for_vectors<A>(columns, [&](int64_t i, auto part) { store(y_row + i, load(x_row + i, part) * inverse * load(weight + i, part), part); });
  }
}

template <class T>
void rms_norm_backward(const T* grad, const T* x, const Accumulator<T>* weight, const Accumulator<T>* inverse_rms, T* grad_x,
                       Accumulator<T>* grad_weight, Accumulator<T>* partial, int64_t num_parts, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  const int64_t part_rows = (rows + num_parts - 1) / num_parts;
#pragma omp parallel if (rows * columns > kMinParallelWork)
  {
#pragma omp for schedule(static)
    for (int64_t p = 0; p < num_parts; ++p) {
      A* sums = partial + p * columns;
      if (grad_weight) memset(sums, 0, static_cast<size_t>(columns) * sizeof(A));
      const int64_t end = smaller(rows, (p + 1) * part_rows);
      for (int64_t r = p * part_rows; r < end; ++r) {
        const T* x_row = x + r * columns;
        const T* grad_row = grad + r * columns;
        const A inverse = inverse_rms[r];
        Vector<A> dots{};
        for_vectors<A>(columns, [&](int64_t i, auto part) {
          const Vector<A> g_x = load(grad_row + i, part) * load(x_row + i, part);
          dots = fma(g_x, load(weight + i, part), dots);
          if (grad_weight) store(sums + i, fma(g_x, splat<A>(inverse), load(sums + i, part)), part);
        });
        if (!grad_x) continue;
        const A factor = sum_elements(dots) * inverse * inverse / static_cast<A>(columns);
        for_vectors<A>(columns, [&](int64_t i, auto part) {
          const Vector<A> g_w = load(grad_row + i, part) * load(weight + i, part);
          store(grad_x + r * columns + i, (g_w - load(x_row + i, part) * factor) * inverse, part);
        });
      }
    }
    if (grad_weight) {
#pragma omp for schedule(static)
      for (int64_t block = 0; block < columns; block += kWidth<A>) {
        auto sum = [&](auto part) {
          Vector<A> total{};
          for (int64_t p = 0; p < num_parts; ++p) total += load(partial + p * columns + block, part);
          store(grad_weight + block, total, part);
        };
        if (block + kWidth<A> <= columns)
          sum(Full{});
        else
          sum(Part{static_cast<int>(columns - block)});
      }
    }
  }
}

// ---- activation ----------------------------------------------------------------------------------------------------------------------

// gelu_tanh(x) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): 1 + tanh(u) = 2 sigmoid(2 u), without its cancellation.
template <class A>
inline Vector<A> gelu_sigmoid(Vector<A> x) {
  const A c = static_cast<A>(-2 * 0.79788456080286535588), c3 = static_cast<A>(-2 * 0.79788456080286535588 * 0.044715);
  return A(1) / (A(1) + exp_vector(x * fma(x * x, splat<A>(c3), splat<A>(c))));
}

template <class T>
void gated_gelu(const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* y, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> x = load(gate + r * gate_stride + i, part);
      store(y + r * columns + i, x * gelu_sigmoid<A>(x) * load(up + r * up_stride + i, part), part);
    });
}

template <class T>
void gated_gelu_backward(const T* grad, const T* gate, int64_t gate_stride, const T* up, int64_t up_stride, T* grad_gate, T* grad_up,
                         int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  const A c = static_cast<A>(2 * 0.79788456080286535588), c3 = static_cast<A>(6 * 0.79788456080286535588 * 0.044715);
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      const Vector<A> x = load(gate + r * gate_stride + i, part), g = load(grad + r * columns + i, part);
      const Vector<A> s = gelu_sigmoid<A>(x);
      const Vector<A> slope = fma(x * s * (A(1) - s), fma(x * x, splat<A>(c3), splat<A>(c)), s);
      store(grad_up + r * columns + i, g * x * s, part);
      store(grad_gate + r * columns + i, g * load(up + r * up_stride + i, part) * slope, part);
    });
}

// ---- noise ---------------------------------------------------------------------------------------------------------------------------

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15ull;

inline VectorU mix64_vector(VectorU x) {
  x += kGolden;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// Noise is made for kNoiseBlock elements at a time.
constexpr int kNoiseBlock = 4 * kNumWords * 4;

inline VectorU count_words() {
  VectorU v{};
  for (int i = 0; i < kNumWords; ++i) v[i] = static_cast<uint64_t>(i);
  return v;
}

// 16 bits for each of the elements [begin, begin + kNoiseBlock), begin a multiple of 4.
inline void make_bits(uint64_t state, int64_t begin, uint16_t* bits) {
  VectorU word = state + (count_words() + static_cast<uint64_t>(begin / 4)) * kGolden;
  for (int i = 0; i < 4; ++i) {
    const VectorU mixed = mix64_vector(word);
    memcpy(bits + i * kNumWords * 4, &mixed, sizeof(mixed));
    word += static_cast<uint64_t>(kNumWords) * kGolden;
  }
}

// `scale` where kept, 0 where dropped, for the elements of one block.
template <class A>
inline void make_factors(uint64_t state, int64_t begin, const DropoutRule& rule, A* factors) {
  alignas(64) uint16_t bits[kNoiseBlock];
  make_bits(state, begin, bits);
  const A scale = static_cast<A>(rule.scale);
  const int32_t threshold = static_cast<int32_t>(rule.threshold);
  for (int i = 0; i < kNoiseBlock; ++i) factors[i] = static_cast<int32_t>(bits[i]) >= threshold ? scale : A(0);
}

template <class T>
void dropout(const T* x, T* y, const int64_t* token_keys, uint64_t key, DropoutRule rule, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    for (int64_t begin = 0; begin < columns; begin += kNoiseBlock) {
      alignas(64) A factors[kNoiseBlock];
      make_factors(state, begin, rule, factors);
      const T* x_block = x + r * columns + begin;
      T* y_block = y + r * columns + begin;
      for_vectors<A>(smaller(kNoiseBlock, columns - begin), [&](int64_t i, auto part) {
        const Vector<A> factor = load_vector(factors + i);
        store(y_block + i, factor != A(0) ? load(x_block + i, part) * factor : Vector<A>{}, part);
      });
    }
  }
}

template <class T>
void jitter(const T* x, T* y, const int64_t* token_keys, uint64_t key, double epsilon, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  const A low = static_cast<A>(1 - epsilon), step = static_cast<A>(2 * epsilon / 65536);
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const uint64_t state = fold_key(key, static_cast<uint64_t>(token_keys[r]));
    for (int64_t begin = 0; begin < columns; begin += kNoiseBlock) {
      alignas(64) uint16_t bits[kNoiseBlock];
      make_bits(state, begin, bits);
      const int64_t count = smaller(kNoiseBlock, columns - begin);
      for (int64_t i = 0; i < count; ++i) {
        const A factor = low + step * (static_cast<A>(bits[i]) + A(0.5));
        narrow(widen(x[r * columns + begin + i]) * factor, y + r * columns + begin + i);
      }
    }
  }
}

// ---- cross-entropy -------------------------------------------------------------------------------------------------------------------

template <class T>
inline Accumulator<T> row_logsumexp(const T* row, int64_t columns) {
  using A = Accumulator<T>;
  // four accumulators hide the latency of the maximum and the sum
  constexpr int64_t kStep = 4 * kWidth<A>;
  Vector<A> peaks[4];
  for (auto& peak : peaks) peak = splat<A>(-kInfinity<A>);
  int64_t i = 0;
  for (; i + kStep <= columns; i += kStep)
    for (int j = 0; j < 4; ++j) peaks[j] = larger(peaks[j], load_vector(row + i + j * kWidth<A>));
  for_vectors<A>(columns - i, [&](int64_t k, auto part) { peaks[0] = larger(peaks[0], load(row + i + k, part, -kInfinity<A>)); });
  const A peak = largest_element(larger(larger(peaks[0], peaks[1]), larger(peaks[2], peaks[3])));
  if (peak == -kInfinity<A>) return -kInfinity<A>;
  Vector<A> sums[4] = {};
  for (i = 0; i + kStep <= columns; i += kStep)
    for (int j = 0; j < 4; ++j) sums[j] += exp_vector(load_vector(row + i + j * kWidth<A>) - peak);
  for_vectors<A>(columns - i, [&](int64_t k, auto part) { sums[0] += exp_vector(load(row + i + k, part, -kInfinity<A>) - peak); });
  return peak + log_scalar(sum_elements((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

template <class T>
void cross_entropy(const T* logits, int64_t stride, const int64_t* labels, double z_coefficient, Accumulator<T>* loss,
                   Accumulator<T>* logsumexp, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    if (labels[r] < 0) {
      loss[r] = 0;
      if (logsumexp) logsumexp[r] = 0;
      continue;
    }
    const A lse = row_logsumexp(logits + r * stride, columns);
    if (logsumexp) logsumexp[r] = lse;
    loss[r] = lse - widen(logits[r * stride + labels[r]]);
    if (z_coefficient != 0) loss[r] += static_cast<A>(z_coefficient) * lse * lse;
  }
}

template <class T>
void cross_entropy_backward(const Accumulator<T>* grad, const T* logits, int64_t stride, const int64_t* labels, const Accumulator<T>* logsumexp,
                            double z_coefficient, T* grad_logits, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = logits + r * stride;
    T* out = grad_logits + r * columns;
    if (labels[r] < 0) {
      memset(static_cast<void*>(out), 0, static_cast<size_t>(columns) * sizeof(T));
      continue;
    }
    const A lse = logsumexp[r];
    const A factor = grad[r] * (A(1) + 2 * static_cast<A>(z_coefficient) * lse);
    for_vectors<A>(columns, [&](int64_t i, auto part) { store(out + i, exp_vector(load(row + i, part) - lse) * factor, part); });
    // the label's element anew, not by subtracting from what was rounded
    alignas(64) Vector<A> one = splat<A>(widen(row[labels[r]]) - lse);
    narrow(exp_vector(one)[0] * factor - grad[r], out + labels[r]);
  }
}

// ---- rows of assignments -------------------------------------------------------------------------------------------------------------

template <class T>
void gather_rows(const T* x, const int64_t* index, const Accumulator<T>* weight, T* out, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = x + index[r] * columns;
    if (!weight) {
      memcpy(static_cast<void*>(out + r * columns), row, static_cast<size_t>(columns) * sizeof(T));
      continue;
    }
    const A w = weight[r];
    for_vectors<A>(columns, [&](int64_t i, auto part) { store(out + r * columns + i, load(row + i, part) * w, part); });
  }
}

template <class T>
void sum_rows(const T* x, const int64_t* offsets, const int64_t* order, const Accumulator<T>* weight, T* out, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<A>(columns, [&](int64_t i, auto part) {
      Vector<A> sum{};
      for (int64_t p = offsets[r]; p < offsets[r + 1]; ++p) {
        const Vector<A> v = load(x + order[p] * columns + i, part);
        sum = weight ? fma(v, splat<A>(weight[order[p]]), sum) : sum + v;
      }
      store(out + r * columns + i, sum, part);
    });
}

template <class T>
inline Accumulator<T> dot(const T* x, const T* y, int64_t columns) {
  using A = Accumulator<T>;
  Vector<A> sums{};
  for_vectors<A>(columns, [&](int64_t i, auto part) { sums = fma(load(x + i, part), load(y + i, part), sums); });
  return sum_elements(sums);
}

template <class T>
void dot_rows(const T* x, const T* y, const int64_t* index, Accumulator<T>* out, int64_t rows, int64_t columns) {
#pragma omp parallel for schedule(static) if (rows * columns > kMinParallelWork)
  for (int64_t r = 0; r < rows; ++r) out[r] = dot(x + r * columns, y + index[r] * columns, columns);
}

// ---- small matrix products (called from inside parallel regions) -----------------------------------------------------------------------
// Operands are arrays of words. A word is one A; or, where the processor multiplies pairs of bfloat16, two neighbours along the inner
// dimension, the second one 0 past an odd end.

#if defined(__AVX512BF16__)
template <class T>
constexpr int kPair = sizeof(T) == 2 ? 2 : 1;
#else
template <class T>
constexpr int kPair = 1;
#endif
template <class T>
inline int64_t num_words(int64_t count) {
  return (count + kPair<T> - 1) / kPair<T>;
}

template <class T>
inline Vector<Accumulator<T>> multiply_add(Vector<Accumulator<T>> a, Vector<Accumulator<T>> b, Vector<Accumulator<T>> sum) {
#if defined(__AVX512BF16__)
  if constexpr (kPair<T> == 2) return (VectorF)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#endif
  return fma(a, b, sum);
}

// kRows x kVectors block of c = a b (+ c).
template <class T, int kRows, int kVectors, class Last, class A = Accumulator<T>>
inline void multiply_block(const MatrixProduct<A>& m, const A* a, const A* b, A* c, Last last) {
  Vector<A> sums[kRows][kVectors] = {};
  for (int64_t p = 0; p < m.inner; ++p) {
    Vector<A> b_row[kVectors];
    for (int j = 0; j < kVectors - 1; ++j) b_row[j] = load_vector(b + p * m.b_stride + j * kWidth<A>);
    b_row[kVectors - 1] = load(b + p * m.b_stride + (kVectors - 1) * kWidth<A>, last);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Vector<A> a_value = splat<A>(a[i * m.a_row + p * m.a_column]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] = multiply_add<T>(a_value, b_row[j], sums[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      A* out = c + i * m.c_stride + j * kWidth<A>;
      if (j < kVectors - 1)
        store(out, m.adds ? sums[i][j] + load(out, Full{}) : sums[i][j], Full{});
      else
        store(out, m.adds ? sums[i][j] + load(out, last) : sums[i][j], last);
    }
  }
}

// All rows of one panel of kVectors vectors, kRows at a time, and what remains with fewer.
template <class T, int kRows, int kVectors, class Last, class A = Accumulator<T>>
inline void multiply_panel(const MatrixProduct<A>& m, int64_t row, int64_t column, Last last) {
  for (; row + kRows <= m.rows; row += kRows)
    multiply_block<T, kRows, kVectors>(m, m.a + row * m.a_row, m.b + column, m.c + row * m.c_stride + column, last);
  if constexpr (kRows > 1)
    if (row < m.rows) multiply_panel<T, kRows / 2, kVectors>(m, row, column, last);
}

template <class T>
void multiply(const MatrixProduct<Accumulator<T>>& m) {
  using A = Accumulator<T>;
#if defined(__AVX512F__)
  constexpr int kRows = 6, kVectors = 4;
#else
  constexpr int kRows = 4, kVectors = 2;
#endif
  constexpr int64_t kPanel = kVectors * kWidth<A>;
  int64_t column = 0;
  for (; column + kPanel <= m.columns; column += kPanel) multiply_panel<T, kRows, kVectors>(m, 0, column, Full{});
  if constexpr (kVectors > 2)
    for (; column + 2 * kWidth<A> <= m.columns; column += 2 * kWidth<A>) multiply_panel<T, kRows, 2>(m, 0, column, Full{});
  const int64_t rest = m.columns - column;
  if (rest > kWidth<A>)
    multiply_panel<T, kRows, 2>(m, 0, column, Part{static_cast<int>(rest - kWidth<A>)});
  else if (rest == kWidth<A>)
    multiply_panel<T, kRows, 1>(m, 0, column, Full{});
  else if (rest > 0)
    multiply_panel<T, kRows, 1>(m, 0, column, Part{static_cast<int>(rest)});
}

// Word p of a row.
template <class T>
inline Accumulator<T> word_at(const T* row, int64_t p, int64_t width) {
  if constexpr (kPair<T> == 1) {
    return widen(row[p]);
  } else {
    const uint32_t low = row[2 * p].bits, high = 2 * p + 1 < width ? row[2 * p + 1].bits : 0;
    return bit_cast<float>(high << 16 | low);
  }
}

#if defined(__SSE2__)
// Four words of a row, all of them inside it.
inline __m128 four_words(const float* row, int64_t p) { return _mm_loadu_ps(row + p); }
inline __m128 four_words(const Bf16* row, int64_t p) {
  if constexpr (kPair<Bf16> == 2) return _mm_loadu_ps(reinterpret_cast<const float*>(row + 2 * p));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + p))));
}
#endif

// out [words(width), rows]
template <class T>
void pack_transposed(const T* x, int64_t stride, Accumulator<T>* out, int64_t rows, int64_t width) {
  const int64_t words = num_words<T>(width);
  int64_t full_rows = 0, full_words = 0;
#if defined(__SSE2__)
  if constexpr (sizeof(Accumulator<T>) == 4) {
    full_rows = rows / 4 * 4;
    full_words = width / kPair<T> / 4 * 4;
    for (int64_t r = 0; r < full_rows; r += 4)
      for (int64_t p = 0; p < full_words; p += 4) {
        __m128 a = four_words(x + r * stride, p), b = four_words(x + (r + 1) * stride, p), c = four_words(x + (r + 2) * stride, p),
               d = four_words(x + (r + 3) * stride, p);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_storeu_ps(out + p * rows + r, a);
        _mm_storeu_ps(out + (p + 1) * rows + r, b);
        _mm_storeu_ps(out + (p + 2) * rows + r, c);
        _mm_storeu_ps(out + (p + 3) * rows + r, d);
      }
  }
#endif
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t p = r < full_rows ? full_words : 0; p < words; ++p) out[p * rows + r] = word_at(x + r * stride, p, width);
}

// out [rows, words(width)]
template <class T>
void pack_rows(const T* x, int64_t stride, Accumulator<T>* out, int64_t rows, int64_t width) {
  using A = Accumulator<T>;
  const int64_t words = num_words<T>(width);
  for (int64_t r = 0; r < rows; ++r) {
    if constexpr (kPair<T> == 2) {
      memcpy(static_cast<void*>(out + r * words), x + r * stride, static_cast<size_t>(width / 2) * 4);
      if (width % 2) out[r * words + words - 1] = word_at(x + r * stride, words - 1, width);
    } else {
      for_vectors<A>(width, [&](int64_t i, auto part) { store(out + r * words + i, load(x + r * stride + i, part), part); });
    }
  }
}

#if defined(__AVX512BF16__)
// bfloat16 of `low` and `high`, interleaved.
inline VectorF interleave(VectorF low, VectorF high) {
  const __m512i low_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)low));
  const __m512i high_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)high));
  return (VectorF)_mm512_or_si512(low_words, _mm512_slli_epi32(high_words, 16));
}
#endif

// out [words(rows), width]
template <class T, class From>
inline void pack_pairs_of(const From* x, int64_t stride, Accumulator<T>* out, int64_t rows, int64_t width) {
  using A = Accumulator<T>;
  for (int64_t r = 0; r < rows; r += kPair<T>)
    for_vectors<A>(width, [&](int64_t i, auto part) {
      const Vector<A> low = load(x + r * stride + i, part);
      if constexpr (kPair<T> == 1) {
        store(out + r * width + i, low, part);
      } else {
#if defined(__AVX512BF16__)
        store(out + r / 2 * width + i, interleave(low, r + 1 < rows ? load(x + (r + 1) * stride + i, part) : Vector<A>{}), part);
#endif
      }
    });
}
template <class T>
void pack_pairs(const T* x, int64_t stride, Accumulator<T>* out, int64_t rows, int64_t width) {
  pack_pairs_of<T>(x, stride, out, rows, width);
}
template <class T>
void pack_score_pairs(const Accumulator<T>* x, Accumulator<T>* out, int64_t rows, int64_t width) {
  pack_pairs_of<T>(x, width, out, rows, width);
}

// One vector of values as words of the row that starts at `row`.
template <class T, class Amount>
inline void store_words(Accumulator<T>* row, int64_t i, Vector<Accumulator<T>> v, Amount part) {
  if constexpr (kPair<T> == 1)
    store(row + i, v, part);
  else
    store(reinterpret_cast<Bf16*>(row) + i, v, part);
}
template <class T>
void pack_score_rows(const Accumulator<T>* x, Accumulator<T>* out, int64_t rows, int64_t width) {
  using A = Accumulator<T>;
  const int64_t words = num_words<T>(width);
  for (int64_t r = 0; r < rows; ++r) {
    if (words > 0) out[(r + 1) * words - 1] = 0;
    for_vectors<A>(width, [&](int64_t i, auto part) { store_words<T>(out + r * words, i, load(x + r * width + i, part), part); });
  }
}

template <class T>
void dot_all(const T* x, int64_t x_stride, const T* y, int64_t y_stride, Accumulator<T>* out, int64_t x_rows, int64_t y_rows, int64_t width) {
  for (int64_t j = 0; j < y_rows; ++j)
    for (int64_t i = 0; i < x_rows; ++i) out[i * y_rows + j] = dot(x + i * x_stride, y + j * y_stride, width);
}

template <class T>
void sum_weighted(const Accumulator<T>* weight, const T* x, int64_t stride, Accumulator<T>* out, int64_t out_rows, int64_t x_rows, int64_t width) {
  using A = Accumulator<T>;
  for (int64_t i = 0; i < out_rows; ++i) {
    constexpr int64_t kStep = 4 * kWidth<A>;
    int64_t c = 0;
    for (; c + kStep <= width; c += kStep) {
      Vector<A> sums[4] = {};
      for (int64_t r = 0; r < x_rows; ++r)
        for (int j = 0; j < 4; ++j) sums[j] = fma(splat<A>(weight[i * x_rows + r]), load_vector(x + r * stride + c + j * kWidth<A>), sums[j]);
      for (int j = 0; j < 4; ++j) store_vector(out + i * width + c + j * kWidth<A>, sums[j]);
    }
    for_vectors<A>(width - c, [&](int64_t k, auto part) {
      Vector<A> sum{};
      for (int64_t r = 0; r < x_rows; ++r) sum = fma(splat<A>(weight[i * x_rows + r]), load(x + r * stride + c + k, part), sum);
      store(out + i * width + c + k, sum, part);
    });
  }
}

template <class T>
void row_dot(const T* x, int64_t x_stride, const T* y, int64_t y_stride, Accumulator<T>* out, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) out[r] = dot(x + r * x_stride, y + r * y_stride, columns);
}

template <class T>
void store_rows(const Accumulator<T>* x, const Accumulator<T>* factor, T* out, int64_t stride, int64_t rows, int64_t columns) {
  using A = Accumulator<T>;
  for (int64_t r = 0; r < rows; ++r) {
    const A scale = factor ? factor[r] : A(1);
    for_vectors<A>(columns, [&](int64_t i, auto part) { store(out + r * stride + i, load(x + r * columns + i, part) * scale, part); });
  }
}

// ---- attention (called from inside parallel regions) ---------------------------------------------------------------------------------

template <class A>
inline int64_t num_seen(const AttentionTile<A>& tile, int64_t row) {
  if (!tile.is_causal) return tile.num_keys;
  const int64_t n = tile.num_visible + row;
  return n < 0 ? 0 : smaller(n, tile.num_keys);
}

template <class T>
void attention_softmax(const AttentionTile<Accumulator<T>>& tile, Accumulator<T>* weights, Accumulator<T>* inverse_sum, Accumulator<T>* logsumexp) {
  using A = Accumulator<T>;
  const bool makes_words = weights != tile.scores;
  const int64_t weight_stride = makes_words ? num_words<T>(tile.num_keys) : tile.num_keys;
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    A* row = tile.scores + r * tile.num_keys;
    A* weight_row = weights + r * weight_stride;
    const int64_t seen = num_seen(tile, r);
    const A* bias = tile.bias ? tile.bias + r * tile.bias_stride : nullptr;
    auto keep = [&](int64_t i, Vector<A> v, auto part) {
      if (makes_words)
        store_words<T>(weight_row, i, v, part);
      else
        store(weight_row + i, v, part);
    };
    Vector<A> peaks = splat<A>(-kInfinity<A>);
    if (bias || tile.key_mask) {
      for_vectors<A>(seen, [&](int64_t i, auto part) {
        Vector<A> v = load(row + i, part, -kInfinity<A>);
        if (bias) v += load(bias + i, part);
        if (tile.key_mask) v += load(tile.key_mask + i, part);
        store(row + i, v, part);
        peaks = larger(peaks, v);
      });
    } else {
      for_vectors<A>(seen, [&](int64_t i, auto part) { peaks = larger(peaks, load(row + i, part, -kInfinity<A>)); });
    }
    const A peak = largest_element(peaks);
    const int64_t end = peak == -kInfinity<A> ? 0 : seen;
    if (makes_words && weight_stride > 0) weight_row[weight_stride - 1] = 0;  // the second half of an odd end
    if (end == 0) {
      if (logsumexp) logsumexp[r] = kInfinity<A>;
      inverse_sum[r] = 0;
    } else {
      Vector<A> sums{};
      if (tile.dropout_states) {
        for (int64_t begin = 0; begin < end; begin += kNoiseBlock) {
          alignas(64) A factors[kNoiseBlock];
          make_factors(tile.dropout_states[r], begin, tile.dropout, factors);
          for_vectors<A>(smaller(kNoiseBlock, end - begin), [&](int64_t i, auto part) {
            const Vector<A> e = exp_vector(load(row + begin + i, part, -kInfinity<A>) - peak);
            sums += e;
            keep(begin + i, e * load_vector(factors + i), part);
          });
        }
      } else {
        for_vectors<A>(end, [&](int64_t i, auto part) {
          const Vector<A> e = exp_vector(load(row + i, part, -kInfinity<A>) - peak);
          sums += e;
          keep(i, e, part);
        });
      }
      const A sum = sum_elements(sums);
      if (logsumexp) logsumexp[r] = peak + log_scalar(sum);
      inverse_sum[r] = A(1) / sum;
    }
    if (end < tile.num_keys) {
      if (makes_words && kPair<T> == 2)
        memset(reinterpret_cast<Bf16*>(weight_row) + end, 0, static_cast<size_t>(tile.num_keys - end) * 2);
      else
        memset(weight_row + end, 0, static_cast<size_t>(tile.num_keys - end) * sizeof(A));
    }
  }
}

template <class T>
void attention_softmax_backward(const AttentionTile<Accumulator<T>>& tile, const Accumulator<T>* logsumexp, const Accumulator<T>* delta,
                                Accumulator<T>* grad, Accumulator<T>* grad_bias, int64_t grad_bias_stride) {
  using A = Accumulator<T>;
  for (int64_t r = 0; r < tile.num_rows; ++r) {
    A* row = tile.scores + r * tile.num_keys;
    A* grad_row = grad + r * tile.num_keys;
    const bool is_blind = logsumexp[r] == kInfinity<A>;
    const int64_t seen = is_blind ? 0 : num_seen(tile, r);
    const A* bias = tile.bias ? tile.bias + r * tile.bias_stride : nullptr;
    A* bias_sum = grad_bias ? grad_bias + r * grad_bias_stride : nullptr;
    const A lse = logsumexp[r], d = delta[r];
    auto step = [&](int64_t i, auto part, Vector<A> factor) {
      Vector<A> v = load(row + i, part, -kInfinity<A>);
      if (bias) v += load(bias + i, part);
      if (tile.key_mask) v += load(tile.key_mask + i, part);
      const Vector<A> p = exp_vector(v - lse);
      const Vector<A> g = p * (load(grad_row + i, part) * factor - d);
      store(row + i, p * factor, part);
      store(grad_row + i, g, part);
      if (bias_sum) store(bias_sum + i, load(bias_sum + i, part) + g, part);
    };
    if (tile.dropout_states) {
      for (int64_t begin = 0; begin < seen; begin += kNoiseBlock) {
        alignas(64) A factors[kNoiseBlock];
        make_factors(tile.dropout_states[r], begin, tile.dropout, factors);
        for_vectors<A>(smaller(kNoiseBlock, seen - begin), [&](int64_t i, auto part) { step(begin + i, part, load_vector(factors + i)); });
      }
    } else {
      for_vectors<A>(seen, [&](int64_t i, auto part) { step(i, part, splat<A>(1)); });
    }
    if (seen < tile.num_keys) {
      memset(row + seen, 0, static_cast<size_t>(tile.num_keys - seen) * sizeof(A));
      memset(grad_row + seen, 0, static_cast<size_t>(tile.num_keys - seen) * sizeof(A));
    }
  }
}

template <class T>
constexpr KernelTable<T> make_table() {
  return {
      .rms_norm = rms_norm<T>,
      .rms_norm_backward = rms_norm_backward<T>,
      .gated_gelu = gated_gelu<T>,
      .gated_gelu_backward = gated_gelu_backward<T>,
      .dropout = dropout<T>,
      .jitter = jitter<T>,
      .cross_entropy = cross_entropy<T>,
      .cross_entropy_backward = cross_entropy_backward<T>,
      .gather_rows = gather_rows<T>,
      .sum_rows = sum_rows<T>,
      .dot_rows = dot_rows<T>,
      .pair = kPair<T>,
      .multiply = multiply<T>,
      .pack_transposed = pack_transposed<T>,
      .pack_rows = pack_rows<T>,
      .pack_pairs = pack_pairs<T>,
      .pack_score_rows = pack_score_rows<T>,
      .pack_score_pairs = pack_score_pairs<T>,
      .dot_all = dot_all<T>,
      .sum_weighted = sum_weighted<T>,
      .store_rows = store_rows<T>,
      .attention_softmax = attention_softmax<T>,
      .attention_softmax_backward = attention_softmax_backward<T>,
      .row_dot = row_dot<T>,
  };
}

}  // namespace

extern const KernelTable<float> table_float;
extern const KernelTable<double> table_double;
extern const KernelTable<Bf16> table_bf16;
constinit const KernelTable<float> table_float = make_table<float>();
constinit const KernelTable<double> table_double = make_table<double>();
constinit const KernelTable<Bf16> table_bf16 = make_table<Bf16>();

}  // namespace flanmoe::ops::cpu::FLANMOE_ISA
