#include "eval/scoring.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "generate/batching.h"
#include "nn/kv_cache.h"
#include "ops/transformer.h"

namespace flanmoe::eval {
namespace {

// Logits held at once: 2^25 values are 128 MB in fp32.
constexpr int64_t kMaxLogits = int64_t{1} << 25;

using generate::PaddedRows;
using generate::TokenRows;

// Log-likelihood of every row of `targets` [n, M], teacher-forced, given the first n rows of the
// encoder's output.
std::vector<double> score_targets(const model::Model& model, const TokenRows& targets,
                                  const std::vector<uint64_t>& row_keys,
                                  const at::Tensor& encoded_BLD,
                                  const nn::TokenLayout& encoder_layout, nn::Context& context) {
  const model::ModelConfig& config = model.config();
  std::vector<std::vector<int32_t>> decoder_inputs;
  for (const auto* target : targets) {
    decoder_inputs.push_back(*target);
    decoder_inputs.back().insert(decoder_inputs.back().begin(),
                                 static_cast<int32_t>(config.decoder_start_token_id));
    decoder_inputs.back().pop_back();
  }
  TokenRows input_rows;
  for (const auto& row : decoder_inputs) input_rows.push_back(&row);
  const PaddedRows inputs =
      generate::pad_rows(input_rows, config.pad_token_id, row_keys, model.device());
  const PaddedRows labels =
      generate::pad_rows(targets, config.pad_token_id, row_keys, model.device());

  const auto num_rows = static_cast<int64_t>(targets.size());
  const at::Tensor hidden_BMD = model.decode(
      inputs.ids_BL, inputs.layout, encoded_BLD.narrow(0, 0, num_rows), encoder_layout, context);
  const at::Tensor& real_index_N = inputs.layout.real_index_N;
  const at::Tensor hidden_ND =
      hidden_BMD.reshape({-1, hidden_BMD.size(-1)}).index_select(0, real_index_N);
  const at::Tensor labels_N = labels.ids_BL.reshape({-1}).index_select(0, real_index_N);

  std::vector<double> token_log_likelihoods;
  const int64_t chunk = std::max<int64_t>(1, kMaxLogits / config.vocab_size);
  for (int64_t start = 0; start < hidden_ND.size(0); start += chunk) {
    const int64_t length = std::min(chunk, hidden_ND.size(0) - start);
    const at::Tensor logits = model.logits(hidden_ND.narrow(0, start, length), context);
    const at::Tensor part = ops::label_log_probability(logits, labels_N.narrow(0, start, length))
                                .to(at::kCPU, at::kDouble)
                                .contiguous();
    token_log_likelihoods.insert(token_log_likelihoods.end(), part.const_data_ptr<double>(),
                                 part.const_data_ptr<double>() + length);
  }

  // Real tokens stand row by row.
  std::vector<double> sums;
  size_t next = 0;
  for (const auto* target : targets) {
    double sum = 0;
    for (size_t i = 0; i < target->size(); ++i) sum += token_log_likelihoods.at(next++);
    if (!std::isfinite(sum))
      fail(ErrorCode::NonFinite, "[eval] the log-likelihood of a target is not a finite number");
    sums.push_back(sum);
  }
  return sums;
}

// One batch of queries, those with the most targets first. Targets are taken by their number: all
// first ones, then all second ones, and so on, so that every pass looks at the encoder's rows as
// they stand. The first pass keeps the cross-attention's keys and values, later ones use a prefix
// of them.
void score_batch(const model::Model& model, const std::vector<Query>& queries,
                 const std::vector<size_t>& batch, nn::Context context,
                 std::vector<std::vector<Score>>& result) {
  std::vector<std::vector<int32_t>> rows;
  for (size_t query : batch)
    rows.push_back(generate::add_virtual_tokens(
        model, queries[query].adapter.value_or(model.active_adapter().value_or(-1)),
        queries[query].input_ids));
  TokenRows inputs;
  std::vector<uint64_t> row_keys;
  for (const auto& row : rows) {
    inputs.push_back(&row);
    row_keys.push_back(generate::row_key(row));
  }
  PaddedRows padded =
      generate::pad_rows(inputs, model.config().pad_token_id, row_keys, model.device());
  nn::TokenLayout layout = std::move(padded.layout);
  const bool is_chosen = std::any_of(
      batch.begin(), batch.end(), [&](size_t query) { return queries[query].adapter.has_value(); });
  if (is_chosen) {
    context.adapter_of_row.emplace();
    for (size_t query : batch)
      context.adapter_of_row->push_back(
          queries[query].adapter.value_or(model.active_adapter().value_or(-1)));
  }
  const at::Tensor encoded_BLD = model.encode(padded.ids_BL, layout, context);

  const int64_t num_layers = model.config().num_decoder_layers;
  const size_t num_passes = queries[batch.front()].target_ids.size();
  nn::KvCache first(num_layers, 0);
  for (size_t pass = 0; pass < num_passes; ++pass) {
    TokenRows targets;
    int64_t longest = 0;
    for (size_t query : batch) {
      if (queries[query].target_ids.size() <= pass) break;
      targets.push_back(&queries[query].target_ids[pass]);
      longest = std::max(longest, static_cast<int64_t>(targets.back()->size()));
    }
    const auto num_rows = static_cast<int64_t>(targets.size());
    nn::KvCache cache(num_layers, longest);
    if (pass > 0) {
      for (int64_t i = 0; i < num_layers; ++i) {
        cache.layer(i).cross_key_BKHd = first.layer(i).cross_key_BKHd.narrow(0, 0, num_rows);
        cache.layer(i).cross_value_BKHd = first.layer(i).cross_value_BKHd.narrow(0, 0, num_rows);
      }
      if (num_rows < layout.num_rows) {
        if (is_chosen) context.adapter_of_row->resize(targets.size());
        at::Tensor& sentence_vectors_BSD = context.computed_sentence_vectors_BSD;
        if (sentence_vectors_BSD.defined())
          sentence_vectors_BSD = sentence_vectors_BSD.narrow(0, 0, num_rows);
        row_keys.resize(targets.size());
        layout = nn::make_layout(
            num_rows, layout.length,
            layout.has_padding ? layout.segment_ids_BL.narrow(0, 0, num_rows) : at::Tensor(), {},
            row_keys, model.device());
      }
    }
    context.cache = num_passes > 1 ? &cache : nullptr;
    const std::vector<double> sums =
        score_targets(model, targets, row_keys, encoded_BLD, layout, context);
    for (size_t row = 0; row < targets.size(); ++row)
      result[batch[row]][pass] = {sums[row], static_cast<int64_t>(targets[row]->size())};
    if (pass == 0) first = std::move(cache);
  }
}

}  // namespace

std::vector<std::vector<Score>> score(const model::Model& model, const std::vector<Query>& queries,
                                      at::ScalarType compute_dtype, int64_t max_batch_tokens,
                                      nn::RoutingSink* sink, const std::string& progress_label) {
  if (max_batch_tokens < 1)
    fail(ErrorCode::InvalidConfig, "[eval] max_batch_tokens is {}, expected 1 or more",
         max_batch_tokens);
  std::vector<std::vector<Score>> result(queries.size());
  std::vector<size_t> asked;  // queries with targets
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < queries.size(); ++i) {
    const Query& query = queries[i];
    const std::string who = "eval";
    generate::check_rows({query.input_ids}, model.config().vocab_size, who,
                         fmt::format("the input of query {}: row", i));
    generate::check_rows(query.target_ids, model.config().vocab_size, who,
                         fmt::format("query {}: target", i));
    result[i].resize(query.target_ids.size());
    if (query.target_ids.empty()) continue;
    size_t longest = query.input_ids.size();
    for (const auto& target : query.target_ids) longest = std::max(longest, target.size());
    asked.push_back(i);
    lengths.push_back(static_cast<int64_t>(longest));
  }

  const at::NoGradGuard no_grad;
  nn::Context context;
  context.compute_dtype = compute_dtype;
  context.routing_sink = sink;
  Progress progress(progress_label, static_cast<int64_t>(asked.size()), "examples",
                    !progress_label.empty());
  int64_t num_done = 0;
  for (std::vector<size_t>& batch : generate::plan_batches(lengths, max_batch_tokens)) {
    if (is_interrupted()) fail(ErrorCode::Interrupted, "[eval] stopped");
    for (size_t& index : batch) index = asked[index];
    std::stable_sort(batch.begin(), batch.end(), [&](size_t a, size_t b) {
      return queries[a].target_ids.size() > queries[b].target_ids.size();
    });
    score_batch(model, queries, batch, context, result);
    num_done += static_cast<int64_t>(batch.size());
    progress.update(num_done);
  }
  return result;
}

}  // namespace flanmoe::eval
