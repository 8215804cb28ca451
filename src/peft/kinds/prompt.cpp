// Prompt tuning (arXiv 2104.08691): learned embeddings of virtual tokens before every encoder
// segment. Their ids are vocab_size, vocab_size + 1, ... (model::prepend_virtual_tokens). New ones
// are embeddings of random ids of the vocabulary.
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/where.h>

#include "base/error.h"
#include "peft/kinds/kinds.h"

namespace flanmoe::peft {
namespace {

class Prompt final : public nn::Delta {
 public:
  Prompt(at::Tensor embeddings, int64_t vocab_size)
      : embeddings_PD_(std::move(embeddings)), vocab_size_(vocab_size) {}
  at::Tensor apply(const at::Tensor& input, const at::Tensor& output,
                   const nn::DeltaCall&) const override {
    const int64_t count = embeddings_PD_.size(0);
    const at::Tensor place = input.sub(vocab_size_);
    if (input.is_cpu() && input.numel() > 0 && place.max().item<int64_t>() >= count)
      fail(ErrorCode::InvalidArgument,
           "[peft] token id {} is that of virtual token {}, but the prompt has {} of them",
           input.max().item<int64_t>(), place.max().item<int64_t>(), count);
    const at::Tensor embedded =
        at::embedding(embeddings_PD_, place.clamp(0, count - 1)).to(output.scalar_type());
    return at::where(place.ge(0).unsqueeze(-1), embedded, output);
  }

 private:
  at::Tensor embeddings_PD_;
  int64_t vocab_size_;
};

Made make(const ComponentConfig& config, const nn::Site& site, const MakeContext& make) {
  const RandomKey key = make.key.fold(std::string_view(site.name));
  at::Tensor ids = at::empty({config.num_virtual_tokens}, at::kLong);
  for (int64_t i = 0; i < ids.size(0); ++i)
    ids[i] = static_cast<int64_t>(
        key.below(static_cast<uint64_t>(site.in_dim), static_cast<uint64_t>(i)));
  // meta has no index_select
  const at::Tensor values =
      site.weight.is_meta()
          ? at::empty({config.num_virtual_tokens, site.out_dim}, site.weight.options())
          : at::index_select(site.weight.detach(), 0, ids.to(site.weight.device()));
  nn::Parameter embeddings = make.copy(site, "prompt_embeddings", values, {.is_embedding = true});
  return {std::make_shared<Prompt>(embeddings.tensor, site.in_dim), {embeddings}, 0};
}

}  // namespace

Kind prompt_kind() {
  return {{"shared"}, {nn::SiteKind::Embedding}, {.virtual_tokens = true}, make};
}

}  // namespace flanmoe::peft
