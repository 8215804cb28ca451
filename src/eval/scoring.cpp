#include "eval/scoring.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

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

// Decoder inputs of the targets of one query: they begin alike (with the start id at least), which
// is computed once, and go on each by itself.
struct Inputs {
  std::vector<int32_t> prefix;
  std::vector<std::vector<int32_t>> rests;  // one a target
};

Inputs make_inputs(const Query& query, int32_t start_id) {
  const auto& targets = query.target_ids;
  size_t shared = 0;  // ids that all targets begin with and that are inputs of all
  if (targets.size() > 1)
    for (bool is_alike = true; is_alike;) {
      for (const auto& target : targets)
        is_alike = is_alike && shared + 1 < target.size() && target[shared] == targets[0][shared];
      if (is_alike) ++shared;
    }
  Inputs inputs;
  inputs.prefix = {start_id};
  const auto end_of_prefix =
      static_cast<ptrdiff_t>(targets.size() > 1 ? shared : targets[0].size() - 1);
  inputs.prefix.insert(inputs.prefix.end(), targets[0].begin(), targets[0].begin() + end_of_prefix);
  for (const auto& target : targets)
    inputs.rests.emplace_back(target.begin() + end_of_prefix, target.end() - 1);
  return inputs;
}

// A place of the decoder whose output is looked at, and what for.
struct Place {
  int64_t hidden_row = 0;  // among the real tokens of all passes
  int64_t label = 0;
  size_t query = 0, target = 0;  // query: its number in the batch
};

// Log-probability of the label of every place. Those of one row of hidden states, however many,
// share its logits.
std::vector<double> score_places(const model::Model& model, const at::Tensor& hidden_ND,
                                 const std::vector<Place>& places, const nn::Context& context) {
  std::vector<int64_t> first_label(static_cast<size_t>(hidden_ND.size(0)), -1);
  std::vector<std::vector<size_t>> places_of_row(first_label.size());
  for (size_t i = 0; i < places.size(); ++i) {
    const auto row = static_cast<size_t>(places[i].hidden_row);
    if (places_of_row[row].empty()) first_label[row] = places[i].label;
    places_of_row[row].push_back(i);
  }
  std::vector<double> result(places.size());
  const int64_t vocab_size = model.config().vocab_size;
  const int64_t chunk = std::max<int64_t>(1, kMaxLogits / vocab_size);
  for (int64_t start = 0; start < hidden_ND.size(0); start += chunk) {
    const int64_t length = std::min(chunk, hidden_ND.size(0) - start);
    const at::Tensor logits = model.logits(hidden_ND.narrow(0, start, length), context);
    std::vector<int64_t> labels(first_label.begin() + start, first_label.begin() + start + length);
    std::vector<int64_t> index;  // of the logits of the first label, then of those of all places
    std::vector<size_t> chosen;
    for (int64_t row = 0; row < length; ++row)
      index.push_back(row * vocab_size + std::max<int64_t>(0, labels[static_cast<size_t>(row)]));
    for (int64_t row = 0; row < length; ++row)
      for (const size_t place : places_of_row[static_cast<size_t>(start + row)]) {
        index.push_back(row * vocab_size + places[place].label);
        chosen.push_back(place);
      }
    const auto device = model.device();
    const auto to_doubles = [](const at::Tensor& values) {
      return values.to(at::kCPU, at::kDouble).contiguous();
    };
    const at::Tensor first = to_doubles(
        ops::label_log_probability(logits, generate::to_tensor(labels, {length}, device)));
    const at::Tensor picked = to_doubles(logits.reshape({-1}).index_select(
        0, generate::to_tensor(index, {static_cast<int64_t>(index.size())}, device)));
    const double *log_probability = first.const_data_ptr<double>(),
                 *logit = picked.const_data_ptr<double>();
    for (size_t i = 0; i < chosen.size(); ++i) {
      const int64_t row = places[chosen[i]].hidden_row - start;
      result[chosen[i]] =
          log_probability[row] + (logit[static_cast<size_t>(length) + i] - logit[row]);
    }
  }
  return result;
}

std::vector<int64_t> repeat(const std::vector<int64_t>& values, size_t times) {
  std::vector<int64_t> result;
  for (const int64_t value : values) result.insert(result.end(), times, value);
  return result;
}

// One batch of queries with as many targets each. All share the passes: one of the encoder, one of
// the decoder over what the targets of a query have in common, one over what they go on with, in
// which the cross-attention looks at keys and values that a query has once. What is in common is
// padded on the left, so that every target goes on behind it in the cache.
void score_batch(const model::Model& model, const std::vector<Query>& queries,
                 const std::vector<size_t>& batch, nn::Context context, const ScoreOptions& options,
                 ExpertUsageCollector* usage, std::vector<std::vector<Score>>& result) {
  const model::ModelConfig& config = model.config();
  const at::Device device = model.device();
  std::vector<std::vector<int32_t>> rows;
  for (size_t query : batch)
    rows.push_back(generate::add_virtual_tokens(
        model, queries[query].adapter.value_or(model.active_adapter().value_or(-1)),
        queries[query].input_ids));
  TokenRows encoder_rows;
  std::vector<uint64_t> row_keys;
  for (const auto& row : rows) {
    encoder_rows.push_back(&row);
    row_keys.push_back(generate::row_key(row));
  }
  const PaddedRows padded = generate::pad_rows(encoder_rows, config.pad_token_id, row_keys, device);
  if (std::any_of(batch.begin(), batch.end(),
                  [&](size_t query) { return queries[query].adapter.has_value(); })) {
    context.adapter_of_row.emplace();
    for (size_t query : batch)
      context.adapter_of_row->push_back(
          queries[query].adapter.value_or(model.active_adapter().value_or(-1)));
  }
  if (usage) usage->set_rows(batch);
  const at::Tensor encoded_BLD = model.encode(padded.ids_BL, padded.layout, context);

  const size_t num_targets = queries[batch.front()].target_ids.size();
  std::vector<Inputs> inputs;
  size_t prefix_length = 0, rest_length = 0;
  for (size_t query : batch) {
    inputs.push_back(
        make_inputs(queries[query], static_cast<int32_t>(config.decoder_start_token_id)));
    prefix_length = std::max(prefix_length, inputs.back().prefix.size());
    for (const auto& rest : inputs.back().rests) rest_length = std::max(rest_length, rest.size());
  }

  nn::KvCache cache(config.num_decoder_layers, static_cast<int64_t>(prefix_length + rest_length));
  context.cache = &cache;
  TokenRows prefixes;
  for (const Inputs& one : inputs) prefixes.push_back(&one.prefix);
  const PaddedRows prefix = generate::pad_rows_on_the_left(
      prefixes, config.pad_token_id, row_keys, static_cast<int64_t>(rest_length), device);
  const auto real_rows = [](const at::Tensor& hidden, const nn::TokenLayout& layout) {
    const at::Tensor flat = hidden.reshape({-1, hidden.size(-1)});
    return layout.has_padding ? flat.index_select(0, layout.real_index_N) : flat;
  };
  // keys behind the prefix belong to what goes on
  if (prefix.layout.has_padding) cache.segment_ids_BK = prefix.key_segment_ids_BK;
  std::vector<at::Tensor> hidden{
      real_rows(model.decode(prefix.ids_BL, prefix.layout, encoded_BLD, padded.layout, context),
                prefix.layout)};

  std::vector<Place> places;
  int64_t next_row = 0;
  for (size_t q = 0; q < batch.size(); ++q) {
    const auto& targets = queries[batch[q]].target_ids;
    for (size_t i = 0; i < inputs[q].prefix.size(); ++i, ++next_row)
      for (size_t t = 0; t < targets.size(); ++t) places.push_back({next_row, targets[t][i], q, t});
  }

  if (rest_length > 0) {
    std::vector<int64_t> row_of_target;
    std::vector<uint64_t> target_keys;
    TokenRows rests;
    for (size_t q = 0; q < batch.size(); ++q)
      for (size_t t = 0; t < num_targets; ++t) {
        row_of_target.push_back(static_cast<int64_t>(q));
        target_keys.push_back(row_keys[q]);
        rests.push_back(&inputs[q].rests[t]);
        for (size_t i = 0; i < inputs[q].rests[t].size(); ++i)
          places.push_back(
              {next_row++, queries[batch[q]].target_ids[t][inputs[q].prefix.size() + i], q, t});
      }
    const at::Tensor index =
        generate::to_tensor(row_of_target, {static_cast<int64_t>(row_of_target.size())}, device);
    cache.select_rows(index, {});
    if (usage) {
      std::vector<size_t> query_of_row;
      for (const int64_t q : row_of_target) query_of_row.push_back(batch[static_cast<size_t>(q)]);
      usage->set_rows(std::move(query_of_row));
    }
    if (context.adapter_of_row)
      context.adapter_of_row = repeat(*context.adapter_of_row, num_targets);
    at::Tensor& sentence_vectors_BSD = context.computed_sentence_vectors_BSD;
    if (sentence_vectors_BSD.defined())
      sentence_vectors_BSD = sentence_vectors_BSD.index_select(0, index);
    std::vector<int64_t> offsets;
    for (const Inputs& one : inputs) offsets.push_back(static_cast<int64_t>(one.prefix.size()));
    const PaddedRows rest = generate::pad_rows(rests, config.pad_token_id, target_keys, device,
                                               repeat(offsets, num_targets));
    hidden.push_back(real_rows(
        model.decode(rest.ids_BL, rest.layout, encoded_BLD, padded.layout, context), rest.layout));
  }

  const std::vector<double> log_likelihoods =
      score_places(model, hidden.size() == 1 ? hidden[0] : at::cat(hidden, 0), places, context);
  std::vector<std::vector<size_t>> num_seen(batch.size(), std::vector<size_t>(num_targets, 0));
  for (size_t i = 0; i < places.size(); ++i) {
    const Place& place = places[i];
    const bool is_last = ++num_seen[place.query][place.target] ==
                         queries[batch[place.query]].target_ids[place.target].size();
    if (options.leaves_out_eos && is_last && place.label == config.eos_token_id) continue;
    Score& score = result[batch[place.query]][place.target];
    score.log_likelihood += log_likelihoods[i];
    ++score.num_tokens;
  }
  for (const size_t query : batch)
    for (const Score& score : result[query])
      if (!std::isfinite(score.log_likelihood))
        fail(ErrorCode::NonFinite, "[eval] the log-likelihood of a target is not a finite number");
}

// Batches of queries with as many targets, in which what is padded is within `max_batch_tokens` on
// either side.
std::vector<std::vector<size_t>> plan(const std::vector<Query>& queries, int64_t max_batch_tokens) {
  std::map<size_t, std::vector<size_t>> by_num_targets;
  for (size_t i = 0; i < queries.size(); ++i)
    if (!queries[i].target_ids.empty()) by_num_targets[queries[i].target_ids.size()].push_back(i);
  std::vector<std::vector<size_t>> batches;
  for (const auto& [num_targets, members] : by_num_targets) {
    std::vector<int64_t> lengths;
    for (const size_t i : members) {
      size_t longest = 0;
      for (const auto& target : queries[i].target_ids) longest = std::max(longest, target.size());
      lengths.push_back(
          static_cast<int64_t>(std::max(queries[i].input_ids.size(), num_targets * longest)));
    }
    for (std::vector<size_t>& batch : generate::plan_batches(lengths, max_batch_tokens)) {
      for (size_t& index : batch) index = members[index];
      batches.push_back(std::move(batch));
    }
  }
  return batches;
}

}  // namespace

std::vector<std::vector<Score>> score(const model::Model& model, const std::vector<Query>& queries,
                                      at::ScalarType compute_dtype, int64_t max_batch_tokens,
                                      nn::RoutingSink* sink, const std::string& progress_label,
                                      const ScoreOptions& options) {
  if (max_batch_tokens < 1)
    fail(ErrorCode::InvalidConfig, "[eval] max_batch_tokens is {}, expected 1 or more",
         max_batch_tokens);
  std::vector<std::vector<Score>> result(queries.size());
  int64_t num_asked = 0;  // queries with targets
  for (size_t i = 0; i < queries.size(); ++i) {
    const Query& query = queries[i];
    const std::string who = "eval";
    generate::check_rows({query.input_ids}, model.config().vocab_size, who,
                         fmt::format("the input of query {}: row", i));
    generate::check_rows(query.target_ids, model.config().vocab_size, who,
                         fmt::format("query {}: target", i));
    result[i].resize(query.target_ids.size());
    num_asked += query.target_ids.empty() ? 0 : 1;
  }

  const at::NoGradGuard no_grad;
  nn::Context context;
  context.compute_dtype = compute_dtype;
  context.uses_capacity = options.uses_capacity;
  std::optional<ExpertUsageCollector> usage;
  if (options.expert_usage) usage.emplace(queries.size(), sink);
  context.routing_sink = usage ? &*usage : sink;
  Progress progress(progress_label, num_asked, "examples", !progress_label.empty());
  int64_t num_done = 0;
  for (const std::vector<size_t>& batch : plan(queries, max_batch_tokens)) {
    if (is_interrupted()) fail(ErrorCode::Interrupted, "[eval] stopped");
    score_batch(model, queries, batch, context, options, usage ? &*usage : nullptr, result);
    num_done += static_cast<int64_t>(batch.size());
    progress.update(num_done);
  }
  if (usage) *options.expert_usage = usage->summarise();
  return result;
}

}  // namespace flanmoe::eval
