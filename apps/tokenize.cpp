#include <memory>

#include "base/file.h"
#include "common.h"
#include "text/tokenizer.h"
#include "verbs.h"

namespace flanmoe::apps {

Verb add_tokenize(Options options) {
  struct State {
    Common common;
    std::string model, input = "-";
    bool decodes = false;
  };
  auto state = std::make_shared<State>();
  options.positional("MODEL", state->model, "folder with spiece.model");
  options.option("input", state->input, "file of lines; - is standard input");
  options.flag("decode", state->decodes, "lines {\"ids\": [...]} in, {\"text\": ...} out");
  state->common.add_to(options, false);
  options.footer("Example:\n  echo 'The house is wonderful.' | flanmoe tokenize flan-t5-small");
  return [state] {
    const text::Tokenizer tokenizer = text::Tokenizer::load(state->model);
    LineReader reader(state->input);
    for (std::string line; reader.next(line);) {
      if (state->decodes) {
        const Json json = parse_json(line, reader.where());
        if (!json.is_object() || !json.contains("ids") || !json["ids"].is_array())
          fail(ErrorCode::InvalidArgument, "{}: expected an object with a list 'ids'",
               reader.where());
        std::vector<int32_t> ids;
        for (const Json& id : json["ids"]) {
          if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
            fail(ErrorCode::InvalidArgument, "{}: 'ids': expected token ids, found {}",
                 reader.where(), id.dump());
          ids.push_back(id.get<int32_t>());
        }
        print(Json{{"text", tokenizer.decode(ids)}}.dump() + "\n");
        continue;
      }
      const std::vector<int32_t> ids = tokenizer.encode_with_eos(line);
      Json pieces = Json::array();
      for (int32_t id : ids) pieces.push_back(tokenizer.piece(id));
      print(Json{{"ids", ids}, {"pieces", pieces}}.dump(-1, ' ', false,
                                                        Json::error_handler_t::replace) +
            "\n");
    }
  };
}

}  // namespace flanmoe::apps
