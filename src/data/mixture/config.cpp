#include "data/mixture/config.h"

#include <set>

namespace flanmoe::data {

MixtureFile load_mixture_file(const std::string& path) {
  const ConfigNode node = load_toml(path);
  MixtureFile file;
  parse_config(node, "", file);
  if (file.collections.empty())
    fail(ErrorCode::InvalidConfig, "[collections] missing: a mixture has at least one ({})", path);
  std::set<std::string> names;
  for (size_t i = 0; i < file.collections.size(); ++i) {
    const CollectionConfig& collection = file.collections[i];
    if (collection.name.empty())
      fail(ErrorCode::InvalidConfig, "[collections[{}].name] missing ({})", i, path);
    if (!names.insert(collection.name).second)
      fail(ErrorCode::InvalidConfig, "[collections[{}].name] '{}' is there twice ({})", i,
           collection.name, path);
    if (collection.sources.empty())
      fail(ErrorCode::InvalidConfig, "[collections[{}].sources] missing: '{}' has no source ({})",
           i, collection.name, path);
  }
  return file;
}

}  // namespace flanmoe::data
