// Part of kernels.inl: vectors of this instruction set, whole or partial loads and stores,
// elementary functions, random keys.

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

inline float to_float(Bf16 x) {
  return bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
inline Bf16 to_bf16(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return Bf16{static_cast<uint16_t>((bits >> 16) | 0x40)};
  return Bf16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}
inline float widen(float x) {
  return x;
}
inline double widen(double x) {
  return x;
}
inline float widen(Bf16 x) {
  return to_float(x);
}
inline void narrow(float x, float* p) {
  *p = x;
}
inline void narrow(double x, double* p) {
  *p = x;
}
inline void narrow(float x, Bf16* p) {
  *p = to_bf16(x);
}

template <class A>
inline Vector<A> load_vector(const A* p) {
  Vector<A> v;
  memcpy(&v, p, sizeof(v));
  return v;
}
#if defined(__AVX512F__)
inline VectorF widen_bf16(__m256i x) {
  return (VectorF)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16);
}
inline __m256i narrow_bf16(VectorF v) {
  const __m512i bits = (__m512i)v;
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  const __mmask16 is_nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, is_nan, quiet));
}
inline VectorF load_vector(const Bf16* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void store_vector(Bf16* p, VectorF v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_bf16(v));
}
#elif defined(__AVX2__)
inline VectorF load_vector(const Bf16* p) {
  return (VectorF)_mm256_slli_epi32(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16);
}
inline void store_vector(Bf16* p, VectorF v) {
  const __m256i bits = (__m256i)v;
  const __m256i top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
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
inline void store_vector(float* p, VectorF v) {
  memcpy(p, &v, sizeof(v));
}
inline void store_vector(double* p, VectorD v) {
  memcpy(p, &v, sizeof(v));
}

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
  return (VectorF)_mm512_mask_loadu_ps((__m512)splat<float>(fill),
                                       static_cast<__mmask16>((1u << part.count) - 1), p);
}
inline VectorF load(const Bf16* p, Part part, float fill = 0) {
  const __mmask16 mask = static_cast<__mmask16>((1u << part.count) - 1);
  return (VectorF)_mm512_mask_mov_ps((__m512)splat<float>(fill), mask,
                                     (__m512)widen_bf16(_mm256_maskz_loadu_epi16(mask, p)));
}
inline void store(float* p, VectorF v, Part part) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << part.count) - 1), (__m512)v);
}
inline void store(Bf16* p, VectorF v, Part part) {
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << part.count) - 1), narrow_bf16(v));
}
#elif defined(__AVX2__)
inline __m256i first_words(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline VectorF load(const float* p, Part part, float fill = 0) {
  const __m256i mask = first_words(part.count);
  return (VectorF)_mm256_blendv_ps((__m256)splat<float>(fill), _mm256_maskload_ps(p, mask),
                                   (__m256)mask);
}
inline void store(float* p, VectorF v, Part part) {
  _mm256_maskstore_ps(p, first_words(part.count), (__m256)v);
}
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
inline VectorD fma(VectorD a, VectorD b, VectorD c) {
#if defined(__AVX512F__)
  return (VectorD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (VectorD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

// The larger one; a NaN in either wins in b only, so that max over a row keeps a NaN once the
// accumulator is a.
inline VectorF larger(VectorF a, VectorF b) {
  return a > b ? a : b;
}
inline VectorD larger(VectorD a, VectorD b) {
  return a > b ? a : b;
}

// Sum and maximum of the elements, halves folded onto each other.
inline float fold(VectorF v, bool is_sum) {
#if defined(__AVX512F__)
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd((__m512d)v, 1)),
               lower = _mm512_castps512_ps256((__m512)v);
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
    for (int i = 0; i < width; ++i)
      v[i] = is_sum ? v[i] + v[i + width] : v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
#endif
}
inline double fold(VectorD v, bool is_sum) {
  for (int width = kWidth<double> / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i)
      v[i] = is_sum ? v[i] + v[i + width] : v[i] > v[i + width] ? v[i] : v[i + width];
  return v[0];
}
inline float sum_elements(VectorF v) {
  return fold(v, true);
}
inline double sum_elements(VectorD v) {
  return fold(v, true);
}
inline float largest_element(VectorF v) {
  return fold(v, false);
}
inline double largest_element(VectorD v) {
  return fold(v, false);
}

// e^x, at most 2 ulp; 0 below -104, inf above 88.8. The power of two is applied in two steps to
// reach subnormals and the last octave.
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
  return p * bit_cast<VectorF>((half + 127) << 23) *
         bit_cast<VectorF>((exponent - half + 127) << 23);
#endif
}
inline VectorD exp_vector(VectorD x) {
  VectorD y{};
  for (int i = 0; i < kWidth<double>; ++i) y[i] = ::exp(x[i]);
  return y;
}
inline float log_scalar(float x) {
  return ::logf(x);
}
inline double log_scalar(double x) {
  return ::log(x);
}
inline float sqrt_scalar(float x) {
  return ::sqrtf(x);
}
inline double sqrt_scalar(double x) {
  return ::sqrt(x);
}
template <class A>
constexpr A kInfinity = static_cast<A>(__builtin_inf());

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// body(offset, Full or Part) over [0, n) in steps of a vector of A.
template <class A, class Body>
inline void for_vectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kWidth<A> <= n; i += kWidth<A>) body(i, Full{});
  if (i < n) body(i, Part{static_cast<int>(n - i)});
}
constexpr int64_t kMinParallelWork = 16384;

// mix64 and RandomKey::fold of base/random.h, which the instruction sets must not share inline code
// with.
inline uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}
inline uint64_t fold_key(uint64_t key, uint64_t part) {
  return mix64(key ^ mix64(part + 0x632BE59BD9B4E019ull));
}
