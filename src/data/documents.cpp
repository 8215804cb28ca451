#include "data/documents.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/nearest.h"
#include "data/cache.h"
#include "data/text_file.h"

namespace flanmoe::data {
namespace {

constexpr size_t kBytesPerJob = 1 << 18;

bool is_jsonl(const std::string& path) {
  return is_named(path, ".jsonl");
}
std::vector<std::string> list_document_files(const std::string& path) {
  if (path == "-" || !is_folder(path)) return {path};
  std::vector<std::string> files;
  for (const std::string& file : list_files(path))
    if (is_jsonl(file) || is_named(file, ".txt")) files.push_back(file);
  if (files.empty())
    fail(ErrorCode::NotFound, "[data] the folder {} has no .jsonl, .txt or .gz of these files",
         path);
  return files;
}

std::string read_text(const Json& line, const std::string& where) {
  if (!line.is_object())
    fail(ErrorCode::CorruptFile, "{}: [data] the line is {}, expected an object", where,
         line.type_name());
  const auto found = line.find("text");
  if (found == line.end() || found->is_null()) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : line.items()) keys.push_back(key);
    fail(ErrorCode::InvalidArgument, "{}: [data] the line has no 'text'{}", where,
         suggestion("text", keys));
  }
  if (!found->is_string())
    fail(ErrorCode::InvalidArgument, "{}: [data] 'text' is {}, expected a string", where,
         found->type_name());
  return found->get<std::string>();
}

// Reads one file after the other.
class DocumentReader {
 public:
  explicit DocumentReader(const std::string& path) : files_(list_document_files(path)) {}
  bool next(std::string& text) {
    for (; next_file_ < files_.size() || lines_; lines_.reset()) {
      if (!lines_) {
        is_jsonl_ = is_jsonl(files_[next_file_]);
        lines_ = std::make_unique<LineReader>(files_[next_file_++]);
      }
      if (is_jsonl_ ? next_line(text) : next_paragraph(text)) return true;
    }
    return false;
  }

 private:
  bool next_line(std::string& text) {
    while (lines_->next(line_)) {
      if (is_blank(line_)) continue;
      text = read_text(parse_json(line_, lines_->where()), lines_->where());
      if (!is_blank(text)) return true;
    }
    return false;
  }
  bool next_paragraph(std::string& text) {
    text.clear();
    while (lines_->next(line_)) {
      if (!is_blank(line_))
        text += (text.empty() ? "" : "\n") + line_;
      else if (!text.empty())
        return true;
    }
    return !text.empty();
  }

  std::vector<std::string> files_;
  size_t next_file_ = 0;
  std::unique_ptr<LineReader> lines_;
  bool is_jsonl_ = false;
  std::string line_;
};

}  // namespace

void for_each_document(const std::string& path,
                       const std::function<void(std::string&& text)>& visit) {
  DocumentReader reader(path);
  for (std::string text; reader.next(text);) visit(std::move(text));
}

std::vector<std::string> load_documents(const std::string& path) {
  std::vector<std::string> documents;
  for_each_document(path, [&](std::string&& text) { documents.push_back(std::move(text)); });
  return documents;
}

Documents Documents::open(const std::vector<std::string>& paths, const text::Tokenizer& tokenizer,
                          int num_threads) {
  Documents result;
  const auto limit = std::make_shared<ResidencyLimit>();
  uint64_t num_documents = 0, num_tokens = 0;
  for (const std::string& path : paths) {
    Hasher hasher;
    for (const std::string& file : list_document_files(path))
      hasher.add(hash_file_once(file)).add(is_jsonl(file) ? "\nlines\n" : "\nparagraphs\n");
    const std::string name = "documents-" + hasher.add(tokenizer.content_hash())
                                                .add(fmt::format("\n{}", tokenizer.num_sentinels()))
                                                .hex();
    std::shared_ptr<const TokenLists> lists;
    const auto use = [&](const std::string& folder) {
      lists = TokenLists::open(folder, limit);
      return lists != nullptr;
    };
    const auto make = [&](const std::string& folder) {
      log::debug("[data] tokenising the documents of {}", path);
      DocumentReader reader(path);
      TokenLists::write(
          folder, tokenizer.size(),
          [&]() -> TokenLists::Job {
            std::vector<std::string> texts;
            size_t num_bytes = 0;
            for (std::string text; num_bytes < kBytesPerJob && reader.next(text);) {
              num_bytes += text.size();
              texts.push_back(std::move(text));
            }
            if (texts.empty()) return {};
            return [&tokenizer, texts = std::move(texts)](TokenLists::Lists& encoded) {
              for (const std::string& text : texts) encoded.push_back(tokenizer.encode(text));
            };
          },
          num_threads);
    };
    use_cached(name, use, make);
    result.parts_.push_back({lists, num_documents, num_tokens});
    num_documents += lists->size();
    num_tokens += lists->num_tokens();
  }
  return result;
}

uint64_t Documents::size() const {
  return parts_.empty() ? 0 : parts_.back().first_document + parts_.back().lists->size();
}

uint64_t Documents::num_tokens() const {
  return parts_.empty() ? 0 : parts_.back().first_token + parts_.back().lists->num_tokens();
}

uint64_t Documents::begin(uint64_t index) const {
  FLANMOE_ASSERT(index <= size());
  auto part = parts_.rbegin();
  while (part != parts_.rend() && part->first_document > index) ++part;
  if (part == parts_.rend()) return 0;
  return part->first_token + part->lists->begin(index - part->first_document);
}

std::vector<int32_t> Documents::tokens(uint64_t begin, uint64_t count) const {
  FLANMOE_ASSERT(begin <= num_tokens() && count <= num_tokens() - begin);
  std::vector<int32_t> result;
  for (const Part& part : parts_) {
    const uint64_t end = part.first_token + part.lists->num_tokens();
    if (begin >= end || count == 0) continue;
    const uint64_t taken = std::min(count, end - begin);
    const auto tokens = part.lists->tokens(begin - part.first_token, taken);
    result.insert(result.end(), tokens.begin(), tokens.end());
    begin += taken;
    count -= taken;
  }
  return result;
}

DocumentPieces::DocumentPieces(Documents documents, uint64_t length, bool crosses_documents)
    : documents_(std::move(documents)), length_(length), crosses_documents_(crosses_documents) {
  FLANMOE_ASSERT(length_ >= 2);
  // A rest of one token is no piece.
  const auto count = [&](uint64_t num_tokens) {
    return num_tokens / length_ + (num_tokens % length_ >= 2 ? 1 : 0);
  };
  if (crosses_documents_) {
    num_pieces_ = count(documents_.num_tokens());
    return;
  }
  first_pieces_.reserve(documents_.size());
  for (uint64_t begin = 0, i = 0; i < documents_.size(); ++i) {
    const uint64_t end = documents_.begin(i + 1);
    first_pieces_.push_back(num_pieces_);
    num_pieces_ += count(end - begin);
    begin = end;
  }
}

std::vector<int32_t> DocumentPieces::get(uint64_t index) const {
  FLANMOE_ASSERT(index < num_pieces_);
  uint64_t begin = 0, end = documents_.num_tokens();
  if (!crosses_documents_) {
    const auto after = std::upper_bound(first_pieces_.begin(), first_pieces_.end(), index);
    const auto document = static_cast<uint64_t>(after - first_pieces_.begin()) - 1;
    index -= first_pieces_[document];
    begin = documents_.begin(document);
    end = documents_.begin(document + 1);
  }
  begin += index * length_;
  return documents_.tokens(begin, std::min(length_, end - begin));
}

}  // namespace flanmoe::data
