#include "convert/write_folder.h"

#include <ATen/core/grad_mode.h>

#include <map>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "checkpoint/tensor_writer.h"

namespace flanmoe::convert {

void write_model_folder(const std::string& out, const model::ModelConfig& config,
                        at::ScalarType dtype, int64_t max_shard_bytes,
                        const text::Tokenizer* tokenizer, const std::string& label,
                        const MakeTensor& make,
                        const std::function<void(const std::string&)>& add) {
  const at::NoGradGuard no_grad;
  const nn::Parameters parameters = model::describe_parameters(config, dtype);
  std::map<std::string, model::DiskTensor> tensors;
  checkpoint::TensorInfos infos;
  for (model::DiskTensor& tensor : model::list_disk_tensors(parameters, config)) {
    const nn::Parameter& parameter = parameters[tensor.parameter];
    const at::Tensor part = model::part_on_disk(parameter.tensor, parameter, tensor);
    infos[tensor.name] = {part.scalar_type(), part.sizes().vec()};
    tensors.emplace(tensor.name, std::move(tensor));
  }

  recover_folder(out);
  AtomicFolder aside(out);
  checkpoint::FolderWriter writer(aside.path(), infos, max_shard_bytes);
  Progress progress(label, static_cast<int64_t>(writer.order().size()), "tensors");
  int64_t num_done = 0;
  for (const std::string& name : writer.order()) {
    if (is_interrupted()) {
      progress.finish();
      fail(ErrorCode::Interrupted, "[{}] stopped; '{}' was not written", label, out);
    }
    const model::DiskTensor& tensor = tensors.at(name);
    const nn::Parameter& parameter = parameters[tensor.parameter];
    writer.write(name, make(parameter, tensor).to(infos.at(name).dtype));
    progress.update(++num_done);
  }
  writer.finish();
  progress.finish();
  if (add) add(aside.path());
  // Last: a folder with a config.json has its weights.
  model::save_description(aside.path(), config, tokenizer, dtype);
  aside.commit();
}

}  // namespace flanmoe::convert
