// A new adapter with random weights, for tools/check_peft:
//   make_adapter BASE OUT KIND[,key=value...]...
#include <ATen/core/grad_mode.h>

#include <cstdio>

#include "base/error.h"
#include "model/adapter_folder.h"
#include "model/folder.h"
#include "nn/random_fill.h"
#include "peft/spec.h"

using namespace flanmoe;

int main(int argc, char** argv) {
  try {
    if (argc < 4) fail(ErrorCode::InvalidArgument, "expected BASE OUT KIND[,key=value...]...");
    const at::NoGradGuard no_grad;
    const model::LoadedModel loaded = model::load_model(argv[1]);
    const peft::Adapter adapter("new", peft::parse_components({argv + 3, argv + argc}),
                                loaded.model->sites(), 0);
    const RandomKey key(7, RandomPurpose::Initialisation);
    for (const nn::Parameter& parameter : adapter.parameters())
      parameter.tensor.detach().add_(nn::draw_normal(parameter.tensor.sizes(), 0.2,
                                                     key.fold(std::string_view(parameter.name))));
    model::save_adapter(argv[2], adapter, *loaded.model, {argv[1], model::base_hash(argv[1])});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_adapter: %s\n", error.what());
    return 1;
  }
}
