#include "text/unigram.h"

#include <algorithm>
#include <limits>

namespace flanmoe::text {
namespace {

constexpr double kUnknownPenalty = 10;  // below the worst piece, as SentencePiece has it

size_t character_bytes(unsigned char first) {
  if (first < 0xC0) return 1;
  return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

}  // namespace

Unigram::Unigram(std::vector<Piece> pieces, int32_t unknown_id)
    : pieces_(std::move(pieces)), unknown_id_(unknown_id) {
  std::stable_sort(pieces_.begin(), pieces_.end(),
                   [](const Piece& a, const Piece& b) { return a.text < b.text; });
  double worst = 0;
  for (const Piece& piece : pieces_) worst = std::min(worst, static_cast<double>(piece.score));
  unknown_score_ = worst - kUnknownPenalty;

  // Breadth first, so that the edges of a node lie together: each node stands for the pieces
  // [begin, end) with a common prefix.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, pieces_.size(), 0}};
  nodes_.emplace_back();
  for (size_t node = 0; node < ranges.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    while (begin < end && pieces_[begin].text.size() == depth) {
      if (nodes_[node].piece < 0 && depth > 0) nodes_[node].piece = static_cast<int32_t>(begin);
      ++begin;
    }
    nodes_[node].first_edge = static_cast<int32_t>(edge_bytes_.size());
    while (begin < end) {
      const char byte = pieces_[begin].text[depth];
      size_t next = begin + 1;
      while (next < end && pieces_[next].text[depth] == byte) ++next;
      edge_bytes_.push_back(static_cast<unsigned char>(byte));
      edge_nodes_.push_back(static_cast<int32_t>(nodes_.size()));
      ranges.push_back({begin, next, depth + 1});
      nodes_.emplace_back();
      ++nodes_[node].num_edges;
      begin = next;
    }
  }
}

int32_t Unigram::find_child(int32_t node, unsigned char byte) const {
  const auto first = edge_bytes_.begin() + nodes_[static_cast<size_t>(node)].first_edge;
  const auto last = first + nodes_[static_cast<size_t>(node)].num_edges;
  const auto found = std::lower_bound(first, last, byte);
  return found == last || *found != byte
             ? -1
             : edge_nodes_[static_cast<size_t>(found - edge_bytes_.begin())];
}

void Unigram::encode(std::string_view normalized, std::vector<int32_t>& ids) const {
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    int32_t id = -1;
    size_t begin = 0;
  };
  const size_t size = normalized.size();
  std::vector<Best> best(size + 1);  // of the text up to a byte
  best[0].score = 0;
  const auto offer = [&best](size_t begin, size_t end, double score, int32_t id) {
    const double total = best[begin].score + score;
    if (best[end].id < 0 || total > best[end].score) best[end] = {total, id, begin};
  };
  for (size_t begin = 0, step = 0; begin < size; begin += step) {
    step = std::min(character_bytes(static_cast<unsigned char>(normalized[begin])), size - begin);
    bool has_piece = false;
    int32_t node = 0;
    for (size_t end = begin; end < size;) {
      node = find_child(node, static_cast<unsigned char>(normalized[end++]));
      if (node < 0) break;
      const int32_t piece = nodes_[static_cast<size_t>(node)].piece;
      if (piece < 0) continue;
      offer(begin, end, static_cast<double>(pieces_[static_cast<size_t>(piece)].score),
            pieces_[static_cast<size_t>(piece)].id);
      has_piece = has_piece || end == begin + step;
    }
    if (!has_piece) offer(begin, begin + step, unknown_score_, unknown_id_);
  }

  const size_t first = ids.size();
  for (size_t end = size; end > 0; end = best[end].begin)
    if (best[end].id != unknown_id_ || ids.size() == first || ids.back() != unknown_id_)
      ids.push_back(best[end].id);
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

}  // namespace flanmoe::text
