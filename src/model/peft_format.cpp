#include "model/peft_format.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <regex>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "model/name_table.h"
#include "peft/registry.h"

namespace flanmoe::model::peft_format {
namespace {

using Names = std::vector<std::string>;

constexpr const char* kPromptTensor = "prompt_embeddings";
// What trains but changes nothing of what a trained adapter computes.
const std::set<std::string, std::less<>> kNeutralKeys = {"auto_mapping",
                                                         "base_model_name_or_path",
                                                         "corda_config",
                                                         "ensure_weight_tying",
                                                         "eva_config",
                                                         "fan_in_fan_out",
                                                         "inference_mode",
                                                         "init_ia3_weights",
                                                         "loftq_config",
                                                         "lora_ga_config",
                                                         "megatron_core",
                                                         "monteclora_config",
                                                         "num_attention_heads",
                                                         "num_layers",
                                                         "peft_type",
                                                         "peft_version",
                                                         "prompt_tuning_init",
                                                         "prompt_tuning_init_text",
                                                         "qalora_group_size",
                                                         "revision",
                                                         "runtime_config",
                                                         "task_type",
                                                         "token_dim",
                                                         "tokenizer_kwargs",
                                                         "tokenizer_name_or_path"};

bool ends_with_part(const std::string& name, const std::string& end) {
  return name == end || name.ends_with("." + end);
}

std::string last_parts(const std::string& name, int count) {
  size_t dot = name.size();
  while (count-- > 0 && dot != name.npos) dot = dot == 0 ? name.npos : name.rfind('.', dot - 1);
  return dot == name.npos ? name : name.substr(dot + 1);
}

// The shortest ends of names that mean `chosen` and nothing else of `all`.
Names cover(const Names& chosen, const Names& all) {
  const std::set<std::string> wanted(chosen.begin(), chosen.end());
  Names ends;
  for (const std::string& name : chosen) {
    if (std::any_of(ends.begin(), ends.end(),
                    [&](const std::string& end) { return ends_with_part(name, end); }))
      continue;
    for (int count = 1;; ++count) {
      const std::string end = last_parts(name, count);
      const bool is_exact = std::all_of(all.begin(), all.end(), [&](const std::string& other) {
        return !ends_with_part(other, end) || wanted.contains(other);
      });
      if (!is_exact && end != name) continue;
      ends.push_back(end);
      break;
    }
  }
  return ends;
}

// As transformers names the module of a site: "mlp" instead of "DenseReluDense" in sparse models.
std::string module_name(const std::string& site, const ModelConfig& config) {
  const std::string name = disk_names({site + ".weight", {}, {}}, config).front();
  return name.substr(0, name.rfind('.'));
}

const nn::Site* find_site(const nn::Sites& sites, const std::string& module) {
  for (const std::string& spelling : accepted_names(module + ".weight")) {
    const std::string name = spelling.substr(0, spelling.rfind('.'));
    const auto found = std::find_if(sites.begin(), sites.end(),
                                    [&](const nn::Site& site) { return site.name == name; });
    if (found != sites.end()) return &*found;
  }
  return nullptr;
}

std::string block_of(const std::string& site) {
  return site.substr(0, site.rfind('.'));
}

Names site_names(const nn::Sites& sites) {
  Names names;
  for (const nn::Site& site : sites) names.push_back(site.name);
  return names;
}

// A component's `sites` that choose exactly these; none where they are the kind's own.
Names make_patterns(const std::string& kind, const Names& chosen, const nn::Sites& sites) {
  std::set<std::string> wanted(chosen.begin(), chosen.end()), own;
  for (const nn::Site& site : sites)
    for (const std::string& end : peft::kind_registry().get(kind).default_sites)
      if (ends_with_part(site.name, end)) own.insert(site.name);
  return wanted == own ? Names() : cover(chosen, site_names(sites));
}

// --- adapter_config.json -------------------------------------------------------------------------

class KeyReader {
 public:
  KeyReader(const Json& json, const std::string& where) : json_(json), where_(where) {}

  const Json* find(const std::string& key) {
    used_.insert(key);
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  template <class Value>
  Value get(const std::string& key, Value fallback) {
    const Json* value = find(key);
    if (!value) return fallback;
    try {
      return value->get<Value>();
    } catch (const Json::exception&) {
      wrong(key, *value);
    }
  }
  int64_t get_positive(const std::string& key, int64_t fallback) {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_number_integer() || value->get<int64_t>() < 1) wrong(key, *value);
    return value->get<int64_t>();
  }
  double get_number(const std::string& key, double fallback) {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_number()) wrong(key, *value);
    return value->get<double>();
  }
  // Every key that nobody asked for must be neutral or say nothing.
  void refuse_others() const {
    for (const auto& [key, value] : json_.items()) {
      const bool says_nothing = value.is_null() || value == false || value == "" ||
                                value == "none" || (value.is_structured() && value.empty());
      if (!says_nothing && !used_.contains(key) && !kNeutralKeys.contains(key))
        refuse(key, value, "");
    }
  }
  [[noreturn]] void refuse(const std::string& key, const Json& value,
                           const std::string& why) const {
    fail(ErrorCode::Unsupported, "{}: key '{}' is {}, which flanmoe cannot express{}", where_, key,
         value.dump(), why);
  }
  [[noreturn]] void wrong(const std::string& key, const Json& value) const {
    fail(ErrorCode::InvalidConfig, "{}: key '{}' cannot be {}", where_, key, value.dump());
  }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
  std::set<std::string> used_;
};

std::regex parse_regex(KeyReader& keys, const std::string& key, const std::string& pattern) {
  try {
    return std::regex(pattern);
  } catch (const std::regex_error& error) {
    fail(ErrorCode::InvalidConfig, "{}: key '{}': '{}' is no regular expression: {}", keys.where(),
         key, pattern, error.what());
  }
}

using Matcher = std::function<bool(const std::string& module)>;

// target_modules and its like: a list of ends of names, or a regular expression for whole names.
// `wants_dot`: an end begins at a dot.
Matcher make_matcher(KeyReader& keys, const std::string& key, bool wants_dot = true) {
  const Json* value = keys.find(key);
  if (!value) return [](const std::string&) { return false; };
  if (value->is_string()) {
    const auto text = value->get<std::string>();
    if (text == "all-linear") return [](const std::string&) { return true; };
    const std::regex regex = parse_regex(keys, key, text);
    return [regex](const std::string& module) { return std::regex_match(module, regex); };
  }
  const auto ends = keys.get<Names>(key, {});
  return [ends, wants_dot](const std::string& module) {
    return std::any_of(ends.begin(), ends.end(), [&](const std::string& end) {
      return wants_dot ? ends_with_part(module, end) : module.ends_with(end);
    });
  };
}

// The modules that the tensors of the file belong to, in the order of sites, those that the model
// has not refused. `suffix` is what is behind the module's name.
Names find_modules(KeyReader& keys, const nn::Sites& sites, const checkpoint::TensorInfos& tensors,
                   const std::string& suffix) {
  Names unknown;
  std::map<const nn::Site*, std::string> modules;
  for (const auto& [name, info] : tensors) {
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) continue;
    const size_t begin = std::string(kPrefix).size();
    const std::string module = name.substr(begin, name.size() - begin - suffix.size());
    const nn::Site* site = find_site(sites, module);
    if (site)
      modules[site] = module;
    else
      unknown.push_back(module);
  }
  if (!unknown.empty())
    fail(ErrorCode::ShapeMismatch,
         "{}: the adapter acts on {} module(s) that the model has not, or where adapters cannot "
         "act: {}{}; it was made for another base",
         keys.where(), unknown.size(), unknown.front(), unknown.size() > 1 ? ", ..." : "");
  Names in_order;
  for (const nn::Site& site : sites)
    if (modules.contains(&site)) in_order.push_back(modules[&site]);
  return in_order;
}

// The modules that target_modules means must be those that have tensors.
void check_targets(KeyReader& keys, const nn::Sites& sites, const Names& modules,
                   bool wants_norms) {
  const Matcher is_target = make_matcher(keys, "target_modules");
  const Matcher is_excluded = make_matcher(keys, "exclude_modules");
  // Which layers these mean is for `peft` to say; the tensors do.
  const bool is_cut = keys.find("layers_to_transform");
  keys.find("layers_pattern");
  const Json* targets = keys.find("target_modules");
  if (targets && targets->is_array())
    for (const Json& target : *targets) {
      Names names;
      bool is_there = false;
      for (const nn::Site& site : sites)
        for (const std::string& spelling : accepted_names(site.name + ".weight")) {
          const std::string name = spelling.substr(0, spelling.rfind('.'));
          names.push_back(last_parts(name, 1));
          is_there =
              is_there || (target.is_string() && ends_with_part(name, target.get<std::string>()));
        }
      if (!target.is_string()) keys.wrong("target_modules", *targets);
      if (!is_there)
        fail(ErrorCode::Unsupported, "{}: target_modules: adapters cannot act on '{}'{}",
             keys.where(), target.get<std::string>(),
             suggestion(target.get<std::string>(), Names(names.begin(), names.end())));
    }
  if (!targets || is_cut) return;
  Names missing;
  for (const nn::Site& site : sites) {
    const bool is_linear = site.kind == nn::SiteKind::Projection && site.weight.dim() == 2;
    if (wants_norms ? site.kind != nn::SiteKind::Norm : !is_linear) continue;
    bool is_meant = false, is_there = false;
    for (const std::string& spelling : accepted_names(site.name + ".weight")) {
      const std::string name = spelling.substr(0, spelling.rfind('.'));
      is_meant = is_meant || (is_target(name) && !is_excluded(name));
      is_there = is_there || std::find(modules.begin(), modules.end(), name) != modules.end();
    }
    if (is_meant && !is_there) missing.push_back(site.name);
  }
  if (!missing.empty())
    fail(ErrorCode::CorruptFile,
         "{}: target_modules means {} module(s) that have no tensors in the file: {}{} (is it for "
         "this base?)",
         keys.where(), missing.size(), missing.front(), missing.size() > 1 ? ", ..." : "");
}

// rank_pattern, alpha_pattern: the first regular expression that fits the end of a module's name.
std::function<double(const std::string&)> make_pattern(KeyReader& keys, const std::string& key,
                                                       double otherwise) {
  std::vector<std::pair<std::regex, double>> entries;
  if (const Json* table = keys.find(key)) {
    if (!table->is_object()) keys.wrong(key, *table);
    for (const auto& [pattern, value] : table->items()) {
      if (!value.is_number()) keys.wrong(key, *table);
      entries.emplace_back(parse_regex(keys, key, "(.*\\.)?(" + pattern + ")"),
                           value.get<double>());
    }
  }
  return [entries, otherwise](const std::string& module) {
    for (const auto& [regex, value] : entries)
      if (std::regex_match(module, regex)) return value;
    return otherwise;
  };
}

Reading read_lora(KeyReader& keys, const nn::Sites& sites, const checkpoint::TensorInfos& tensors) {
  if (const Json* init = keys.find("init_lora_weights")) {
    static const std::set<Json> kPlain = {true, false, "gaussian", "orthogonal", "eva"};
    if (!kPlain.contains(*init))
      keys.refuse("init_lora_weights", *init, ": it changes the base's weights");
  }
  const Names modules = find_modules(keys, sites, tensors, ".lora_A.weight");
  check_targets(keys, sites, modules, false);
  const double rank = static_cast<double>(keys.get_positive("r", 8));
  const double alpha = keys.get_number("lora_alpha", 8);
  const double dropout_rate = keys.get_number("lora_dropout", 0);
  const auto rank_of = make_pattern(keys, "rank_pattern", rank);
  const auto alpha_of = make_pattern(keys, "alpha_pattern", alpha);
  const bool is_by_root = keys.get("use_rslora", false);  // alpha / sqrt(r)
  keys.refuse_others();

  struct Group {
    double rank, alpha;
    Names sites;
  };
  std::vector<Group> groups;
  Reading reading;
  for (const std::string& module : modules) {
    const std::string& site = find_site(sites, module)->name;
    const double r = rank_of(module), a = alpha_of(module);
    if (r < 1 || r != std::floor(r)) keys.wrong("rank_pattern", r);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& other) {
      return other.rank == r && other.alpha == a;
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {r, a, {}});
    group->sites.push_back(site);
    for (const char* part : {".lora_A.weight", ".lora_B.weight"})
      reading.places[kPrefix + module + part] = {site + part};
  }
  for (const Group& group : groups) {
    peft::ComponentConfig component;
    component.kind = "lora";
    component.rank = static_cast<int64_t>(group.rank);
    component.alpha = is_by_root ? group.alpha * std::sqrt(group.rank) : group.alpha;
    component.dropout_rate = dropout_rate;
    component.sites = make_patterns("lora", group.sites, sites);
    reading.config.components.push_back(std::move(component));
  }
  return reading;
}

Reading read_ia3(KeyReader& keys, const nn::Sites& sites, const checkpoint::TensorInfos& tensors) {
  const Names modules = find_modules(keys, sites, tensors, ".ia3_l");
  check_targets(keys, sites, modules, false);
  const Matcher scales_input = make_matcher(keys, "feedforward_modules", /*wants_dot=*/false);
  keys.refuse_others();

  // The input of wo and the output of wi_1 are both the activated value's place.
  Reading reading;
  std::set<std::string> taken;
  const auto add = [&](const std::string& module, const std::string& site, Layout layout) {
    reading.places[kPrefix + module + ".ia3_l"] = {site + ".ia3_l", layout};
    taken.insert(site);
  };
  for (const std::string& module : modules) {
    if (!scales_input(module)) continue;
    const std::string& site = find_site(sites, module)->name;
    const std::string activated = block_of(site) + ".act";
    if (!site.ends_with(".wo") || !find_site(sites, activated))
      keys.refuse("feedforward_modules", module, ": of inputs only that of wo can be scaled");
    add(module, activated, Layout::Row);
  }
  for (const std::string& module : modules) {
    if (scales_input(module)) continue;
    const std::string& site = find_site(sites, module)->name;
    const std::string activated = block_of(site) + ".act";
    const bool is_activated =
        site.ends_with(".wi_1") && find_site(sites, activated) && !taken.contains(activated);
    add(module, is_activated ? activated : site, Layout::Column);
  }
  Names chosen;
  for (const nn::Site& site : sites)
    if (taken.contains(site.name)) chosen.push_back(site.name);
  peft::ComponentConfig component;
  component.kind = "ia3";
  component.sites = make_patterns("ia3", chosen, sites);
  reading.config.components.push_back(std::move(component));
  return reading;
}

Reading read_norm(KeyReader& keys, const nn::Sites& sites, const checkpoint::TensorInfos& tensors) {
  const std::string suffix = ".ln_tuning_layers.weight";
  const Names modules = find_modules(keys, sites, tensors, suffix);
  check_targets(keys, sites, modules, true);
  keys.refuse_others();
  Reading reading;
  peft::ComponentConfig component;
  component.kind = "norm";
  Names chosen;
  for (const std::string& module : modules) {
    const nn::Site& site = *find_site(sites, module);
    if (site.kind != nn::SiteKind::Norm) keys.refuse("target_modules", module, ": it is no norm");
    chosen.push_back(site.name);
  }
  component.sites = make_patterns("norm", chosen, sites);
  reading.config.components.push_back(std::move(component));
  const peft::Adapter adapter("norm", reading.config, sites, 0, keys.where());
  for (const peft::Adapter::Part& part : adapter.parts())
    for (const std::string& module : modules)
      if (find_site(sites, module)->name == part.site)
        reading.places[kPrefix + module + suffix] = {part.parameters.front().name};
  return reading;
}

Reading read_prompt(KeyReader& keys, const nn::Sites& sites) {
  peft::ComponentConfig component;
  component.kind = "prompt";
  component.num_virtual_tokens =
      keys.get_positive("num_virtual_tokens", component.num_virtual_tokens);
  const int64_t num_stacks = keys.get_positive("num_transformer_submodules", 2);
  if (num_stacks != 1)
    keys.refuse("num_transformer_submodules", num_stacks,
                ": a prompt stands before the encoder's input alone");
  keys.refuse_others();
  Reading reading;
  reading.config.components = {component};
  const peft::Adapter adapter("prompt", reading.config, sites, 0, keys.where());
  FLANMOE_ASSERT(adapter.parameters().size() == 1);
  reading.places[kPromptTensor] = {adapter.parameters().front().name};
  return reading;
}

Reading read_own(KeyReader& keys, const checkpoint::TensorInfos& tensors) {
  Reading reading;
  const Json* components = keys.find("components");
  if (!components) fail(ErrorCode::InvalidConfig, "{}: expected a key 'components'", keys.where());
  ConfigNode node = from_json({{"components", *components}}, keys.where());
  parse_config(node, "", reading.config);
  keys.refuse_others();
  for (const auto& [name, info] : tensors)
    if (name.starts_with(kPrefix))
      reading.places[name] = {name.substr(std::string(kPrefix).size())};
  return reading;
}

// --- writing -------------------------------------------------------------------------------------

bool is_all_of(const peft::Config& config, const std::string& kind) {
  return std::all_of(config.components.begin(), config.components.end(),
                     [&](const peft::ComponentConfig& c) { return c.kind == kind; });
}

bool has_dims(const peft::Adapter& adapter, int64_t dims) {
  return std::all_of(adapter.parameters().begin(), adapter.parameters().end(),
                     [&](const nn::Parameter& p) { return p.tensor.dim() == dims; });
}

Json number(double value) {
  return value == std::floor(value) ? Json(static_cast<int64_t>(value)) : Json(value);
}

Json head(const char* type, const std::string& base_path) {
  return {{"base_model_name_or_path", base_path.empty() ? Json(nullptr) : Json(base_path)},
          {"inference_mode", true},
          {"peft_type", type},
          {"task_type", "SEQ_2_SEQ_LM"}};
}

struct Writer {
  const peft::Adapter& adapter;
  const nn::Sites& sites;
  const ModelConfig& config;
  const std::string& base_path;

  Names all_modules() const {
    Names names;
    for (const nn::Site& site : sites)
      if (site.kind != nn::SiteKind::Activation) names.push_back(module_name(site.name, config));
    return names;
  }
  Names in_order(const std::set<std::string>& modules) const {
    Names ordered;
    for (const std::string& module : all_modules())
      if (modules.contains(module)) ordered.push_back(module);
    return ordered;
  }

  std::optional<Written> lora() const {
    const auto& components = adapter.config().components;
    if (!is_all_of(adapter.config(), "lora") || !has_dims(adapter, 2)) return {};
    const peft::ComponentConfig& first = components.front();
    std::set<std::string> modules;
    Written written{head("LORA", base_path), {}};
    Json ranks = Json::object(), alphas = Json::object();
    for (const peft::Adapter::Part& part : adapter.parts()) {
      const peft::ComponentConfig& component = components[part.component];
      if (component.dropout_rate != first.dropout_rate) return {};
      const std::string module = module_name(part.site, config);
      if (!modules.insert(module).second) return {};
      if (component.rank != first.rank) ranks[module] = component.rank;
      if (component.alpha != first.alpha) alphas[module] = number(component.alpha);
      for (const nn::Parameter& parameter : part.parameters)
        written.tensors[kPrefix + module + parameter.name.substr(part.site.size())] =
            parameter.tensor.detach();
    }
    written.json["target_modules"] = cover(in_order(modules), all_modules());
    written.json["r"] = first.rank;
    written.json["lora_alpha"] = number(first.alpha);
    written.json["lora_dropout"] = first.dropout_rate;
    written.json["rank_pattern"] = ranks;
    written.json["alpha_pattern"] = alphas;
    written.json["bias"] = "none";
    written.json["fan_in_fan_out"] = false;
    written.json["use_rslora"] = false;
    written.json["use_dora"] = false;
    written.json["modules_to_save"] = nullptr;
    return written;
  }

  std::optional<Written> ia3() const {
    if (!is_all_of(adapter.config(), "ia3") || !has_dims(adapter, 1)) return {};
    std::set<std::string> scaled, modules, input_scaled;
    for (const peft::Adapter::Part& part : adapter.parts()) scaled.insert(part.site);
    Written written{head("IA3", base_path), {}};
    for (const peft::Adapter::Part& part : adapter.parts()) {
      std::string site = part.site;
      Layout layout = Layout::Column;
      if (site.ends_with(".act")) {
        const std::string linear = block_of(site) + ".wi_1";
        const bool is_free = find_site(sites, linear) && !scaled.contains(linear);
        if (!is_free) layout = Layout::Row;
        site = is_free ? linear : block_of(site) + ".wo";
      }
      const std::string module = module_name(site, config);
      if (!modules.insert(module).second) return {};
      if (layout == Layout::Row) input_scaled.insert(module);
      const nn::Parameter& vector = part.parameters.front();
      written.tensors[kPrefix + module + ".ia3_l"] =
          vector.tensor.detach().view(disk_shape(vector, layout));
    }
    written.json["target_modules"] = cover(in_order(modules), all_modules());
    written.json["feedforward_modules"] = cover(in_order(input_scaled), all_modules());
    written.json["fan_in_fan_out"] = false;
    written.json["init_ia3_weights"] = true;
    written.json["modules_to_save"] = nullptr;
    return written;
  }

  std::optional<Written> norm() const {
    if (!is_all_of(adapter.config(), "norm") || !has_dims(adapter, 1)) return {};
    std::set<std::string> modules;
    Written written{head("LN_TUNING", base_path), {}};
    for (const peft::Adapter::Part& part : adapter.parts()) {
      const std::string module = module_name(part.site, config);
      if (!modules.insert(module).second || part.parameters.size() != 1) return {};
      written.tensors[kPrefix + module + ".ln_tuning_layers.weight"] =
          part.parameters.front().tensor.detach();
    }
    written.json["target_modules"] = cover(in_order(modules), all_modules());
    written.json["modules_to_save"] = nullptr;
    return written;
  }

  std::optional<Written> prompt() const {
    if (adapter.config().components.size() != 1 || !is_all_of(adapter.config(), "prompt") ||
        adapter.parameters().size() != 1 || !has_dims(adapter, 2))
      return {};
    const at::Tensor prompt = adapter.parameters().front().tensor.detach();
    Written written{head("PROMPT_TUNING", base_path), {{kPromptTensor, prompt}}};
    written.json["num_virtual_tokens"] = prompt.size(0);
    written.json["token_dim"] = prompt.size(1);
    written.json["num_transformer_submodules"] = 1;
    written.json["num_attention_heads"] = config.num_heads;
    written.json["num_layers"] = config.num_layers;
    written.json["prompt_tuning_init"] = "RANDOM";
    return written;
  }

  Written own() const {
    Written written{head(kOwnType, base_path), {}};
    written.json["components"] = to_json(to_config_node(adapter.config()))["components"];
    for (const nn::Parameter& parameter : adapter.parameters())
      written.tensors[kPrefix + parameter.name] = parameter.tensor.detach();
    return written;
  }
};

}  // namespace

std::vector<int64_t> disk_shape(const nn::Parameter& parameter, Layout layout) {
  const int64_t size = parameter.tensor.numel();
  switch (layout) {
    case Layout::Column:
      return {size, 1};
    case Layout::Row:
      return {1, size};
    case Layout::Same:
      break;
  }
  return parameter.tensor.sizes().vec();
}

Reading read(const Json& json, const std::string& where, const nn::Sites& sites,
             const checkpoint::TensorInfos& tensors) {
  KeyReader keys(json, where);
  const auto type = keys.get<std::string>("peft_type", "");
  if (type == "LORA") return read_lora(keys, sites, tensors);
  if (type == "IA3") return read_ia3(keys, sites, tensors);
  if (type == "LN_TUNING") return read_norm(keys, sites, tensors);
  if (type == "PROMPT_TUNING") return read_prompt(keys, sites);
  if (type == kOwnType) return read_own(keys, tensors);
  fail(ErrorCode::Unsupported,
       "{}: key 'peft_type' is '{}', expected one of: LORA, IA3, LN_TUNING, PROMPT_TUNING, {}",
       where, type, kOwnType);
}

Written write(const peft::Adapter& adapter, const nn::Sites& sites, const ModelConfig& config,
              const std::string& base_path) {
  const at::NoGradGuard no_grad;
  const Writer writer{adapter, sites, config, base_path};
  if (auto written = writer.lora()) return *std::move(written);
  if (auto written = writer.ia3()) return *std::move(written);
  if (auto written = writer.norm()) return *std::move(written);
  if (auto written = writer.prompt()) return *std::move(written);
  return writer.own();
}

}  // namespace flanmoe::model::peft_format
