/// Multi-head attention, one image and head at a time, so that its scores stay in cache.
///
/// Heads are windows of the fused product `[images * tokens, 3 * width]`: queries, keys, values, each head's columns
/// side by side. B images of T tokens, H heads, Q queries an image: T, or 1 where only the class token is wanted.
import Numerics

/// The sizes that the windows follow from.
struct AttentionShape {
  let images: Int
  let tokens: Int
  let queries: Int
  let heads: Int
  let width: Int

  var headWidth: Int { width / heads }

  /// Scores are divided by the root of the head's width.
  var scale: Float { 1 / Float(headWidth).squareRoot() }

  func query(_ qkv: Matrix, image: Int, head: Int) -> Matrix { window(qkv, image, head, rows: queries, part: 0) }
  func key(_ qkv: Matrix, image: Int, head: Int) -> Matrix { window(qkv, image, head, rows: tokens, part: 1) }
  func value(_ qkv: Matrix, image: Int, head: Int) -> Matrix { window(qkv, image, head, rows: tokens, part: 2) }

  private func window(_ qkv: Matrix, _ image: Int, _ head: Int, rows: Int, part: Int) -> Matrix {
    qkv.buffer.matrix(
      at: qkv.offset + image * tokens * qkv.stride + part * width + head * headWidth, rows: rows, columns: headWidth,
      stride: qkv.stride)
  }

  /// What a head reads or writes of the `[B·Q, width]` results.
  func result(_ mixed: Matrix, image: Int, head: Int) -> Matrix {
    mixed.buffer.matrix(
      at: mixed.offset + image * queries * mixed.stride + head * headWidth, rows: queries, columns: headWidth,
      stride: mixed.stride)
  }

  /// `[Q, T]` of the `[B·H·Q, T]` probabilities.
  func scores(_ probabilities: Matrix, image: Int, head: Int) -> Matrix {
    let first = (image * heads + head) * queries
    return probabilities.rows(first..<first + queries)
  }
}

/// Mixes each image's values by softmax(Q Kᵀ / √width).
///
/// - Parameters:
///   - qkv: `[B·T, 3·width]`, without bias; the bias is added while the image's rows are at hand.
///   - bias: `[3·width]`.
///   - mixed: `[B·Q, width]`, overwritten.
///   - probabilities: `[B·H·Q, T]` for `attentionBackward`, or `[Q, T]` where nothing is kept.
func attention(
  _ qkv: Matrix, bias: Vector, shape: AttentionShape, into mixed: Matrix, probabilities: Matrix, keeps: Bool
) {
  let (width, tokens) = (shape.width, shape.tokens)
  let queryBias = bias.vector(at: 0, count: width)
  let restOfBias = bias.vector(at: width, count: 2 * width)
  for image in 0..<shape.images {
    let rows = qkv.rows(image * tokens..<(image + 1) * tokens)
    addRow(queryBias, toRowsOf: rows.rows(0..<shape.queries).columns(0..<width))
    addRow(restOfBias, toRowsOf: rows.columns(width..<3 * width))
    for head in 0..<shape.heads {
      let scores = keeps ? shape.scores(probabilities, image: image, head: head) : probabilities
      multiply(
        shape.query(qkv, image: image, head: head), .asIs, shape.key(qkv, image: image, head: head), .transposed,
        into: scores)
      softmaxRows(scores, scale: shape.scale)
      multiply(
        scores, .asIs, shape.value(qkv, image: image, head: head), .asIs,
        into: shape.result(mixed, image: image, head: head))
    }
  }
}

/// The gradient of `attention` with respect to queries, keys and values.
///
/// - Parameters:
///   - qkv: with its bias, as `attention` left it.
///   - probabilities: `[B·H·Q, T]`, kept by `attention`.
///   - mixedGradient: `[B·Q, width]`.
///   - scratch: `[Q, T]`.
///   - gradient: `[B·T, 3·width]`, overwritten; of the queries only the first Q rows of each image.
func attentionBackward(
  _ qkv: Matrix, probabilities: Matrix, shape: AttentionShape, mixedGradient: Matrix, scratch: Matrix,
  into gradient: Matrix
) {
  for image in 0..<shape.images {
    for head in 0..<shape.heads {
      let p = shape.scores(probabilities, image: image, head: head)
      let dMixed = shape.result(mixedGradient, image: image, head: head)
      multiply(p, .transposed, dMixed, .asIs, into: shape.value(gradient, image: image, head: head))
      multiply(dMixed, .asIs, shape.value(qkv, image: image, head: head), .transposed, into: scratch)
      softmaxBackward(p, gradient: scratch, scale: shape.scale)
      multiply(
        scratch, .asIs, shape.key(qkv, image: image, head: head), .asIs,
        into: shape.query(gradient, image: image, head: head))
      multiply(
        scratch, .transposed, shape.query(qkv, image: image, head: head), .asIs,
        into: shape.key(gradient, image: image, head: head))
    }
  }
}
