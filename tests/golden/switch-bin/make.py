"""Made this folder, with torch 2.15 and transformers 5.23: a Switch model in the layout of google/switch-base-8 (pytorch_model.bin, per-expert tensors, copies
of the embedding, a config without tie_word_embeddings) and what transformers computes with it. usage: make.py OUT"""
import json, pathlib, sys, tempfile
import torch
from safetensors.torch import load_file, save_file
from transformers import SwitchTransformersConfig, SwitchTransformersForConditionalGeneration

out = pathlib.Path(sys.argv[1])
torch.manual_seed(5)
config = dict(vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=4, num_decoder_layers=2, num_heads=2, num_experts=3, expert_capacity=4,
              num_sparse_encoder_layers=2, num_sparse_decoder_layers=1, feed_forward_proj="relu", dropout_rate=0.1, decoder_start_token_id=0, router_jitter_noise=0.01)
model = SwitchTransformersForConditionalGeneration(SwitchTransformersConfig(**config)).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "router" in name or "experts" in name:
            parameter.normal_(0, 0.4)
        elif "layer_norm" in name:
            parameter.uniform_(0.7, 1.3)
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    tensors = {name: tensor.clone() for name, tensor in load_file(folder + "/model.safetensors").items()}
for copy in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
    tensors[copy] = tensors["shared.weight"]
torch.save(tensors, out / "pytorch_model.bin")
published = dict(config, architectures=["SwitchTransformersForConditionalGeneration"], model_type="switch_transformers", add_router_probs=False, eos_token_id=1, pad_token_id=0,
                 encoder_sparse_step=2, decoder_sparse_step=2, is_encoder_decoder=True, is_gated_act=False, dense_act_fn="relu", initializer_factor=1.0, layer_norm_epsilon=1e-06,
                 relative_attention_max_distance=128, relative_attention_num_buckets=32, router_bias=False, router_dtype="float32", router_ignore_padding_tokens=False,
                 router_type="tokens_masked", router_z_loss_coef=0.001, router_aux_loss_coef=0.001, use_cache=True)
(out / "config.json").write_text(json.dumps(published, indent=2, sort_keys=True) + "\n")
input_ids = torch.tensor([[5, 9, 23, 7, 31, 12, 5, 1], [8, 8, 8, 8, 8, 8, 8, 8]])
decoder_input_ids = torch.tensor([[0, 4, 17, 33], [0, 6, 6, 6]])
with torch.no_grad():
    logits = model(input_ids=input_ids, decoder_input_ids=decoder_input_ids).logits
save_file({"input_ids": input_ids, "decoder_input_ids": decoder_input_ids, "logits": logits.contiguous()}, str(out / "expected.safetensors"))
print(sorted(tensors)[:60], logits.std())
