#include "text/sentencepiece_log.h"

#include <mutex>

// Exported by libsentencepiece, declared in a header that it does not install.
namespace sentencepiece::logging {
void SetMinLogLevel(int level);
}

namespace flanmoe::text {

void silence_sentencepiece() {
  static std::once_flag once;
  std::call_once(once, [] { sentencepiece::logging::SetMinLogLevel(3); });  // fatal ones only
}

}  // namespace flanmoe::text
