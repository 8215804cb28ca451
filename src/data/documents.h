// Plain text for pretraining: files of documents, and their tokens on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/token_lists.h"
#include "text/tokenizer.h"

namespace flanmoe::data {

// Documents of a file or folder: JSONL with `text`, or plain text (one document a
// blank-line-separated paragraph block), either with .gz. Blank ones are left out. Throws NotFound,
// CorruptFile, InvalidArgument naming file and line.
void for_each_document(const std::string& path,
                       const std::function<void(std::string&& text)>& visit);
std::vector<std::string> load_documents(const std::string& path);

// Tokens of documents, all one after the other: kept in the cache by the content of the files and
// of the tokenizer, mapped into memory. Safe to read from several threads.
class Documents {
 public:
  // Of several files or folders, in this order. `num_threads` tokenise what is not in the cache; 0:
  // one a core.
  static Documents open(const std::vector<std::string>& paths, const text::Tokenizer& tokenizer,
                        int num_threads = 0);

  uint64_t size() const;  // documents
  uint64_t num_tokens() const;
  // Document `index` is tokens [begin(index), begin(index + 1)); there is no </s>.
  uint64_t begin(uint64_t index) const;
  std::vector<int32_t> tokens(uint64_t begin, uint64_t count) const;

 private:
  struct Part {
    std::shared_ptr<const TokenLists> lists;
    uint64_t first_document, first_token;
  };
  std::vector<Part> parts_;
};

// The tokens cut into pieces of at most `length`: across documents, or each document by itself; a
// rest of a single token is left out.
class DocumentPieces {
 public:
  DocumentPieces(Documents documents, uint64_t length, bool crosses_documents);
  uint64_t size() const { return num_pieces_; }
  std::vector<int32_t> get(uint64_t index) const;
  const Documents& documents() const { return documents_; }

 private:
  Documents documents_;
  uint64_t length_;
  bool crosses_documents_;
  uint64_t num_pieces_ = 0;
  std::vector<uint64_t> first_pieces_;  // of every document, where they are cut by themselves
};

}  // namespace flanmoe::data
