"""T5 with mixture-of-experts layers, as `flanmoe` saves it, for inference with `transformers`:

    AutoModelForSeq2SeqLM.from_pretrained(FOLDER, trust_remote_code=True)

Everything but the sparse feed-forward layers is transformers' own T5. config.json says under "flanmoe" which layers of
a stack are sparse and how their tokens are routed; its keys are described in flanmoe's docs. Routing is that of
evaluation: no jitter, the evaluation capacity, no router losses. Training is refused; train with `flanmoe train`.

Where experts have a capacity, a token's output depends on the tokens it competes with: those of its sequence or of the
whole batch, as "group" says, and one decoding step at a time in generate().

Shape letters: B rows, L length, T tokens of one routing group, E experts, K choices a token, D model.
"""

import copy
import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import (
    T5DenseActDense,
    T5DenseGatedActDense,
    T5LayerNorm,
    T5Stack,
)


class FlanmoeConfig(T5Config):
    model_type = "flanmoe"


# ---------------------------------------------------------------------------------------------------------------------
# Routers: (logits [T, E] in float32, settings, tokens of the group) -> combine weights [T, E], 0 where an expert does
# not serve a token. The tokens of a group are those that compete for slots. Ties go to the lower index.


class Tokens(NamedTuple):
    """What a router may know of tokens beside their logits."""

    ids: torch.Tensor  # of the vocabulary
    positions: torch.Tensor  # in their sequence
    layer: int  # tells layers apart
    is_causal: bool  # a decoder's

    def select(self, index):
        return self._replace(ids=self.ids[index], positions=self.positions[index])


def expert_capacity(moe, k, num_tokens):
    """Slots of an expert."""
    if moe["is_dropless"]:
        return num_tokens
    if moe["capacity_rule"] == "absolute":
        return moe["expert_capacity"]
    choices = k if moe["capacity_rule"] == "per-choice" else 1
    slots = moe["eval_capacity_factor"] * choices * num_tokens / moe["num_experts"]
    rounded = round(slots)  # halves to even
    if abs(slots - rounded) > 1e-9:
        rounded = {"up": math.ceil, "nearest": round, "down": math.floor}[moe["capacity_rounding"]](slots)
    return max(moe["min_expert_capacity"], rounded)


def place(experts, weights, is_asked, order, moe):
    """Gives slots to what tokens ask for, [T, K] each: all first choices before all second ones, in `order`."""
    num_tokens, k = experts.shape
    requests = F.one_hot(experts[order], moe["num_experts"]) * is_asked[order].unsqueeze(-1)  # [T, K, E]
    by_rank = requests.transpose(0, 1).flatten(0, 1)
    is_kept = by_rank * (by_rank.cumsum(0) <= expert_capacity(moe, k, num_tokens))
    kept = is_kept.unflatten(0, (k, num_tokens)).transpose(0, 1)
    combine = torch.zeros_like(kept[:, 0], dtype=weights.dtype)
    combine[order] = (kept * weights[order].unsqueeze(-1)).sum(1)
    return combine


def route_top_k(logits, moe, tokens, k, asks=None):
    """The k most probable experts. asks(gates [T, K]) -> bool [T, K] says which of them a token asks for."""
    probabilities = logits.softmax(-1)
    ranked, experts = probabilities.sort(dim=-1, descending=True, stable=True)
    weights, experts = ranked[:, :k], experts[:, :k]
    if moe["combine_weights"] == "normalised":
        weights = weights / weights.sum(-1, keepdim=True)
    is_asked = torch.ones_like(experts, dtype=torch.bool)
    if asks is not None:
        gates = weights.double()
        is_asked = asks(gates / gates.sum(-1, keepdim=True))
        is_asked[:, 0] = True
    order = torch.arange(len(logits), device=logits.device)
    if moe["priority"] == "probability" and not tokens.is_causal:
        order = ranked[:, 0].argsort(descending=True, stable=True)
    return place(experts, weights, is_asked, order, moe)


def route_given(logits, moe, experts):
    """Experts [T, K] that are not learned, each with weight 1 / K."""
    experts = torch.tensor(experts, dtype=torch.long, device=logits.device).reshape(len(logits), -1)
    weights = torch.full(experts.shape, 1 / experts.shape[1], device=logits.device)
    order = torch.arange(len(logits), device=logits.device)
    return place(experts, weights, torch.ones_like(experts, dtype=torch.bool), order, moe)


def route_switch(logits, moe, tokens):
    return route_top_k(logits, moe, tokens, 1)


def route_top_2(logits, moe, tokens):
    return route_top_k(logits, moe, tokens, 2)


def route_configured_top_k(logits, moe, tokens):
    return route_top_k(logits, moe, tokens, moe["top_k"])


def route_gshard(logits, moe, tokens):
    policy, threshold = moe["second_expert_policy"], moe["second_expert_threshold"]

    def asks(gates):
        if policy == "all":
            return torch.ones_like(gates, dtype=torch.bool)
        if policy == "none":
            return torch.zeros_like(gates, dtype=torch.bool)
        if policy == "threshold":
            return gates > threshold
        draws = [uniform(token_noise(i, p, tokens.layer), 0) for i, p in token_list(tokens)]
        draws = torch.tensor(draws, dtype=gates.dtype, device=gates.device)
        return draws.unsqueeze(-1) * max(threshold, 1e-9) < gates

    return route_top_k(logits, moe, tokens, 2, asks)


def route_expert_choice(logits, moe, tokens):
    if tokens.is_causal:  # experts would look at later tokens
        k = min(max(math.floor(moe["eval_capacity_factor"] + 0.5), 1), moe["num_experts"])
        return route_top_k(logits, {**moe, "is_dropless": True}, tokens, k)
    probabilities = logits.softmax(-1)
    capacity = min(len(logits), expert_capacity(moe, 1, len(logits)))
    taken = probabilities.argsort(dim=0, descending=True, stable=True)[:capacity]
    combine = torch.zeros_like(probabilities).scatter(0, taken, probabilities.gather(0, taken))
    if moe["combine_weights"] == "normalised":
        combine = combine / combine.sum(-1, keepdim=True).clamp_min(torch.finfo(combine.dtype).tiny)
    return combine


def route_hash(logits, moe, tokens):
    return route_given(
        logits, moe, [hashed_experts(i, tokens.layer, moe["num_experts"], moe["top_k"]) for i, _ in token_list(tokens)]
    )


def route_random(logits, moe, tokens):
    keys = [token_noise(i, p, tokens.layer) for i, p in token_list(tokens)]
    return route_given(logits, moe, [draw_distinct(key, moe["num_experts"], moe["top_k"]) for key in keys])


def route_dense(logits, moe, tokens):
    return logits.softmax(-1)


ROUTERS = {
    "switch": route_switch,
    "gshard": route_gshard,
    "st-moe": route_top_2,
    "top-2": route_top_2,
    "top-k": route_configured_top_k,
    "expert-choice": route_expert_choice,
    "hash": route_hash,
    "random": route_random,
    "dense": route_dense,
}
UNLEARNED_ROUTERS = {"hash", "random"}
KEYED_ROUTERS = {"hash", "random", "gshard"}


# ---------------------------------------------------------------------------------------------------------------------
# flanmoe's keyed random numbers (src/base/random.h), 64-bit unsigned.

MASK = (1 << 64) - 1


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def fold(key, part):
    return mix(key ^ mix((part + 0x632BE59BD9B4E019) & MASK))


def fold_text(key, text):
    data = text.encode()
    value = mix(len(data) ^ 0x8A5CD789635D2DFF)
    for begin in range(0, len(data), 8):
        value = mix(value ^ int.from_bytes(data[begin : begin + 8], "little"))
    return fold(key, value)


def random_bits(key, index):
    return mix((key + index * 0x9E3779B97F4A7C15) & MASK)


def uniform(key, index):
    return (random_bits(key, index) >> 11) * 2.0**-53


def purpose_key(purpose):
    return mix(mix(0) ^ (purpose * 0xD6E8FEB86659FD93 & MASK))


SITE_KEY, ROUTER_KEY = purpose_key(2), purpose_key(5)


def draw_distinct(key, num_experts, k):
    experts = list(range(num_experts))
    for j in range(k):
        other = j + ((random_bits(key, j) * (num_experts - j)) >> 64)
        experts[j], experts[other] = experts[other], experts[j]
    return experts[:k]


@functools.lru_cache(maxsize=1 << 20)
def hashed_experts(token_id, layer, num_experts, k):
    return draw_distinct(fold(fold(ROUTER_KEY, layer), token_id), num_experts, k)


def token_noise(token_id, position, layer):
    """The key of a token's noise: of what it is and where, so that batching and caching change nothing."""
    return fold(fold(ROUTER_KEY, layer), mix(position ^ mix(token_id)))


def token_list(tokens):
    return list(zip(tokens.ids.tolist(), tokens.positions.tolist()))


# ---------------------------------------------------------------------------------------------------------------------
# Layers.


def split_groups(moe, is_routed):
    """Indices into the flattened [B * L] tokens, one tensor a routing group."""
    index = is_routed.flatten().nonzero().squeeze(-1)
    if moe["group"] == "batch":
        return [index]
    if moe["group"] == "tokens":
        return list(index.split(moe["group_size"]))
    return [group for group in index.split(is_routed.sum(-1).tolist()) if len(group) > 0]


class FlanmoeSparseMLP(nn.Module):
    def __init__(self, config, moe, name):
        super().__init__()
        if moe["router"] not in ROUTERS:
            raise ValueError(f"flanmoe: unknown router '{moe['router']}', expected one of {sorted(ROUTERS)}")
        self.moe = moe
        self.is_causal = config.is_decoder
        self.layer = fold_text(SITE_KEY, name)
        self.state = None  # set by the stack before every pass
        expert = copy.copy(config)
        if moe["expert_d_ff"] > 0:
            expert.d_ff = moe["expert_d_ff"]
        if moe["expert_feed_forward"] != "as-dense":
            expert.is_gated_act = moe["expert_feed_forward"] == "gated-gelu"
            expert.dense_act_fn = "gelu_new" if expert.is_gated_act else "relu"
        self.experts = nn.ModuleDict({f"expert_{e}": make_dense(expert) for e in range(moe["num_experts"])})
        if moe["router"] not in UNLEARNED_ROUTERS:
            classifier = nn.Linear(config.d_model, moe["num_experts"], bias=False)
            self.router = nn.ModuleDict({"classifier": classifier})

    def forward(self, hidden_states):
        if self.training:
            raise NotImplementedError("flanmoe: this model is for inference; call eval(), or use `flanmoe train`")
        x = hidden_states.flatten(0, 1)
        combine = self.route(x)
        output = torch.zeros_like(x)
        for e, expert in enumerate(self.experts.values()):
            index = combine[:, e].nonzero().squeeze(-1)
            if len(index) > 0:
                weighted = expert(x[index]) * combine[index, e].unsqueeze(-1).to(x.dtype)
                output.index_add_(0, index, weighted.to(x.dtype))
        return output.view_as(hidden_states)

    def route(self, x):
        """Combine weights [B * L, E]; tokens that are not routed have none."""
        is_real, ids, positions = self.state
        if self.moe["router"] in UNLEARNED_ROUTERS:
            logits = x.new_zeros((len(x), self.moe["num_experts"]), dtype=torch.float32)
        else:
            logits = F.linear(x.float(), self.router["classifier"].weight.float())
        if ids is None:
            if self.moe["router"] in KEYED_ROUTERS:
                raise ValueError(f"flanmoe: router '{self.moe['router']}' needs input ids, not embeddings")
            ids = positions
        tokens = Tokens(ids.flatten(), positions.flatten(), self.layer, self.is_causal)
        is_routed = torch.ones_like(is_real) if self.moe["padding"] == "counted" else is_real
        combine = torch.zeros_like(logits)
        for index in split_groups(self.moe, is_routed):
            combine[index] = ROUTERS[self.moe["router"]](logits[index], self.moe, tokens.select(index))
        return combine


def make_dense(config):
    return (T5DenseGatedActDense if config.is_gated_act else T5DenseActDense)(config)


class FlanmoeLayerFF(nn.Module):
    def __init__(self, config, mlp, before=None):
        super().__init__()
        self.mlp = mlp
        self.layer_norm = T5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.before = [] if before is None else [before]  # in a list: its parameters are not this layer's

    def forward(self, hidden_states):
        for layer in self.before:
            hidden_states = layer(hidden_states)
        return hidden_states + self.dropout(self.mlp(self.layer_norm(hidden_states)))


class FlanmoeStack(T5Stack):
    def __init__(self, config):
        super().__init__(config)
        stack = "decoder" if config.is_decoder else "encoder"
        moe = config.flanmoe["decoder_moe" if config.is_decoder else "moe"]
        self.sparse = []
        for i, block in enumerate(self.block):
            if i not in config.flanmoe[f"{stack}_sparse_layers"]:
                block.layer[-1] = FlanmoeLayerFF(config, make_dense(config))
                continue
            mlp = FlanmoeSparseMLP(config, moe, f"{stack}.block.{i}.layer.{len(block.layer) - 1}.mlp")
            self.sparse.append(mlp)
            block.layer[-1] = FlanmoeLayerFF(config, mlp)
            if moe["has_extra_feed_forward"]:
                # a block calls its last layer only
                block.layer.append(FlanmoeLayerFF(config, make_dense(config), before=block.layer[-1]))
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        state = describe_tokens(input_ids, attention_mask, **kwargs)
        for mlp in self.sparse:
            mlp.state = state
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


def describe_tokens(input_ids, attention_mask, inputs_embeds=None, past_key_values=None, **_):
    """(is_real, ids or None, positions), [B, L] each, of the tokens that a pass computes: those not in the cache."""
    tokens = input_ids if inputs_embeds is None else inputs_embeds[:, :, 0]
    past = 0 if past_key_values is None else int(past_key_values.get_seq_length())
    length = past + tokens.shape[1]
    is_real = torch.ones((len(tokens), length), dtype=torch.bool, device=tokens.device)
    if attention_mask is not None:
        if attention_mask.dim() != 2:
            raise ValueError("flanmoe: expected an attention mask [rows, length]")
        is_real[:, : attention_mask.shape[1]] = attention_mask[:, :length].bool()
    positions = torch.where(is_real, is_real.cumsum(-1), (~is_real).cumsum(-1)) - 1
    return is_real[:, past:], input_ids, positions[:, past:]


class FlanmoeForConditionalGeneration(T5ForConditionalGeneration):
    config_class = FlanmoeConfig

    def __init__(self, config):
        super().__init__(config)
        self.encoder = FlanmoeStack(self.encoder.config)
        self.decoder = FlanmoeStack(self.decoder.config)
        self.set_input_embeddings(self.shared)
        self.post_init()
