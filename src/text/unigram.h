// The best segmentation of a text into the pieces of a Unigram model, in double precision.
//
// SentencePiece 0.1.97 adds up scores in single precision over the whole text, so that equally good
// segmentations ("0"+"00" and "00"+"0") are told apart by rounding, differently at every place.
// Sums of float scores are exact here, and a tie goes to the segmentation whose last piece is
// longer: what `transformers` and later releases of SentencePiece do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flanmoe::text {

class Unigram {
 public:
  struct Piece {
    std::string text;
    float score = 0;
    int32_t id = 0;
  };
  // `pieces`: those that may be used; of several with the same text the first counts.
  Unigram(std::vector<Piece> pieces, int32_t unknown_id);
  // `normalized` is UTF-8 with U+2581 for spaces. Appends; a run of characters without a piece is
  // one `unknown_id`.
  void encode(std::string_view normalized, std::vector<int32_t>& ids) const;

 private:
  struct Node {
    int32_t first_edge = 0, num_edges = 0;
    int32_t piece = -1;
  };
  int32_t find_child(int32_t node, unsigned char byte) const;

  std::vector<Piece> pieces_;  // sorted by text
  std::vector<Node> nodes_;
  std::vector<unsigned char> edge_bytes_;
  std::vector<int32_t> edge_nodes_;
  double unknown_score_ = 0;
  int32_t unknown_id_;
};

}  // namespace flanmoe::text
