// How op tests compare: values against the plain-loop truth, gradients against finite differences,
// bytes across numbers of threads. The checks return "" or a text that says what is wrong, so that
// tests can also show that they object (test_check.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace flanmoe::ops {

std::vector<double> values(const at::Tensor& tensor);
std::vector<int64_t> indices(const at::Tensor& tensor);

// Standard normal times `scale`, rounded to `dtype`; the same for every call with the same seed.
at::Tensor random_tensor(at::IntArrayRef shape, uint64_t seed, at::ScalarType dtype = at::kDouble,
                         double scale = 1);
at::Tensor constant_tensor(at::IntArrayRef shape, double value);  // fp32
at::Tensor index_tensor(const std::vector<int64_t>& values, at::IntArrayRef shape = {});

// |actual - expected| <= absolute + relative * |expected|. One table: rounding of the output plus
// that of sums of a few hundred terms.
struct Tolerance {
  double absolute, relative;
};
Tolerance tolerance(at::ScalarType dtype);

std::string compare(const std::vector<double>& actual, const std::vector<double>& expected,
                    const Tolerance& tolerance);
std::string compare(const at::Tensor& actual, const std::vector<double>& expected);
// "" when type, shape and every byte are the same.
std::string compare_bytes(const at::Tensor& a, const at::Tensor& b);

using Inputs = std::vector<at::Tensor>;
// Gradients of sum_i y_i sin(0.37 (i + 1)) in the inputs (undefined where an input has none).
Inputs compute_gradients(const std::function<at::Tensor(const Inputs&)>& function,
                         const Inputs& inputs);
// Every element of every input (float64) against central differences.
std::string check_gradients(const std::function<at::Tensor(const Inputs&)>& function,
                            const Inputs& inputs);

// What `function` returns with 1 and with 2 threads, bytes compared.
std::string compare_threads(const std::function<Inputs()>& function);

}  // namespace flanmoe::ops
