#include "nn/delta.h"

#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

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

// The assignments of the tokens of some rows.
struct SelectedExperts {
  at::Tensor index;
  ExpertValues values;
};
SelectedExperts select_rows(const ExpertValues& experts, const at::Tensor& rows_R) {
  const std::vector<int64_t> row_of = to_host(experts.row_A), rows = to_host(rows_R);
  std::vector<int64_t> chosen, offsets{0};
  for (size_t e = 0; e + 1 < experts.expert_offsets.size(); ++e) {
    for (int64_t a = experts.expert_offsets[e]; a < experts.expert_offsets[e + 1]; ++a)
      if (std::binary_search(rows.begin(), rows.end(), row_of[static_cast<size_t>(a)]))
        chosen.push_back(a);
    offsets.push_back(static_cast<int64_t>(chosen.size()));
  }
  SelectedExperts selected;
  selected.index = at::tensor(chosen, at::kLong).to(rows_R.device());
  TokenLayout& tokens = selected.values.tokens;
  tokens = experts.tokens;
  const auto select = [&](const at::Tensor& values) {
    return values.defined() ? at::index_select(values, 1, selected.index) : values;
  };
  tokens.length = selected.index.size(0);
  tokens.segment_ids_BL = select(tokens.segment_ids_BL);
  tokens.positions_BL = select(tokens.positions_BL);
  tokens.token_keys_BL = select(tokens.token_keys_BL);
  tokens.real_index_N = at::Tensor();
  selected.values.row_A = at::index_select(experts.row_A, 0, selected.index);
  selected.values.expert_offsets = std::move(offsets);
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
        output = attached.delta->apply(input, output, {context, *tokens, block, {}, nullptr});
        continue;
      }
      const auto select = [&](const at::Tensor& values) {
        return at::index_select(values, 0, use.rows_R);
      };
      const TokenLayout selected = select_rows(*tokens, use.rows_R);
      const at::Tensor changed = attached.delta->apply(
          select(input), select(output), {context, selected, select(block), use.rows_R, nullptr});
      output = at::index_copy(output, 0, use.rows_R, changed);
    }
  return output;
}

at::Tensor DeltaList::apply_to_experts(const at::Tensor& input, at::Tensor output,
                                       const ExpertValues& experts, const at::Tensor& block_input,
                                       const Context& context) const {
  if (deltas_.empty()) return output;
  for (const AdapterRows& use : context.adapters) {
    const bool is_used = std::any_of(deltas_.begin(), deltas_.end(), [&](const Attached& attached) {
      return attached.adapter == use.adapter;
    });
    if (!is_used) continue;
    const bool is_all = !use.rows_R.defined();
    const SelectedExperts selected =
        is_all ? SelectedExperts{{}, experts} : select_rows(experts, use.rows_R);
    const auto select = [&](const at::Tensor& values) {
      return is_all ? values : at::index_select(values, 0, selected.index);
    };
    if (!is_all && selected.index.size(0) == 0) continue;
    for (const Attached& attached : deltas_) {
      if (attached.adapter != use.adapter) continue;
      const at::Tensor changed = attached.delta->apply(
          select(input), select(output),
          {context, selected.values.tokens, select(block_input), use.rows_R, &selected.values});
      output = is_all ? changed : at::index_copy(output, 0, selected.index, changed);
    }
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
