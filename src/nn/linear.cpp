#include "nn/linear.h"

#include <ATen/ops/empty.h>

#include "ops/transformer.h"

namespace flanmoe::nn {

ops::WeightView Weight::as(at::ScalarType dtype) const {
  if (master_.scalar_type() == dtype) return master_;
  return {copy_.get(master_, dtype, [&] { return master_.detach().to(dtype); }), master_};
}

Linear::Linear(int64_t in_dim, int64_t out_dim, const at::TensorOptions& options)
    : weight_(at::empty({out_dim, in_dim}, options).requires_grad_(true)) {}

at::Tensor Linear::forward(const at::Tensor& x, const Context& context, const TokenLayout* tokens,
                           const at::Tensor& block_input) const {
  at::Tensor output = ops::linear(x, weight_.as(context.compute_dtype));
  return deltas_.apply(x, std::move(output), tokens ? tokens : context.tokens, block_input,
                       context);
}

void Linear::collect(const std::string& prefix, Parameters& parameters, ParameterTags tags) const {
  tags.is_multiplied = true;
  parameters.push_back({prefix + ".weight", weight_.master(), tags});
}

Site Linear::site(const std::string& name, int64_t block_dim, int64_t num_heads) {
  Site site{name,
            SiteKind::Projection,
            weight_.master().size(1),
            weight_.master().size(0),
            num_heads,
            block_dim,
            weight_.master()};
  connect(site, deltas_);
  return site;
}

RmsNorm::RmsNorm(int64_t dim, double epsilon, const at::TensorOptions& options)
    : weight_D_(at::empty({dim}, at_least_float(options)).requires_grad_(true)),
      epsilon_(epsilon) {}

at::Tensor RmsNorm::forward(const at::Tensor& x, const Context& context) const {
  return deltas_.apply(x, ops::rms_norm(x, weight_D_, epsilon_), context.tokens, x, context);
}

Site RmsNorm::site(const std::string& name) {
  const int64_t dim = weight_D_.size(0);
  Site site{name, SiteKind::Norm, dim, dim, 1, dim, weight_D_, epsilon_};
  connect(site, deltas_);
  return site;
}

void RmsNorm::collect(const std::string& prefix, Parameters& parameters) const {
  parameters.push_back({prefix + ".weight", weight_D_, {.is_norm = true}});
}

at::TensorOptions at_least_float(const at::TensorOptions& options) {
  return options.dtype() == at::kDouble ? options : options.dtype(at::kFloat);
}

}  // namespace flanmoe::nn
