#include "nn/delta.h"

#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>

#include "base/error.h"

namespace flanmoe::nn {
namespace {

TokenLayout select_rows(const TokenLayout& tokens, const at::Tensor& rows_R) {
  TokenLayout selected = tokens;
  selected.num_rows = rows_R.size(0);
  selected.segment_ids_BL = at::index_select(tokens.segment_ids_BL, 0, rows_R);
  selected.positions_BL = at::index_select(tokens.positions_BL, 0, rows_R);
  selected.token_keys_BL = at::index_select(tokens.token_keys_BL, 0, rows_R);
  selected.real_index_N = at::Tensor();
  return selected;
}

}  // namespace

void DeltaList::attach(int64_t adapter, std::shared_ptr<const Delta> delta) {
  deltas_.push_back({adapter, std::move(delta)});
}

void DeltaList::detach(int64_t adapter) {
  std::erase_if(deltas_, [&](const Attached& attached) { return attached.adapter == adapter; });
}

at::Tensor DeltaList::apply(const at::Tensor& input, at::Tensor output, const TokenLayout* tokens,
                            const at::Tensor& block_input, const Context& context) const {
  if (deltas_.empty()) return output;
  for (const AdapterRows& use : context.adapters)
    for (const Attached& attached : deltas_) {
      if (attached.adapter != use.adapter) continue;
      FLANMOE_ASSERT(tokens);
      const at::Tensor& block = block_input.defined() ? block_input : input;
      if (!use.rows_R.defined()) {
        output = attached.delta->apply(input, output, {context, *tokens, block, {}});
        continue;
      }
      const auto select = [&](const at::Tensor& values) {
        return at::index_select(values, 0, use.rows_R);
      };
      const TokenLayout selected = select_rows(*tokens, use.rows_R);
      const at::Tensor changed = attached.delta->apply(
          select(input), select(output), {context, selected, select(block), use.rows_R});
      output = at::index_copy(output, 0, use.rows_R, changed);
    }
  return output;
}

void connect(Site& site, DeltaList& deltas) {
  site.attach = [&deltas](int64_t adapter, std::shared_ptr<const Delta> delta) {
    deltas.attach(adapter, std::move(delta));
  };
  site.detach = [&deltas](int64_t adapter) { deltas.detach(adapter); };
}

}  // namespace flanmoe::nn
