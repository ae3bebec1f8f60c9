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

  func query(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: queries, part: 0) }
  func key(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: tokens, part: 1) }
  func value(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: tokens, part: 2) }

  private func window(_ qkv: Factor, _ image: Int, _ head: Int, rows: Int, part: Int) -> Factor {
    qkv.buffer.factor(
      at: qkv.offset + image * tokens * qkv.stride + part * width + head * headWidth, rows: rows, columns: headWidth,
      stride: qkv.stride, precision: qkv.precision)
  }

  /// What a head reads or writes of the `[B·Q, width]` results.
  func result(_ mixed: Factor, image: Int, head: Int) -> Factor {
    mixed.buffer.factor(
      at: mixed.offset + image * queries * mixed.stride + head * headWidth, rows: queries, columns: headWidth,
      stride: mixed.stride, precision: mixed.precision)
  }

  /// `[Q, T]` of the `[B·H·Q, T]` probabilities.
  func probabilities(_ probabilities: Factor, image: Int, head: Int) -> Factor {
    let first = (image * heads + head) * queries
    return probabilities.rows(first..<first + queries)
  }
}

/// Mixes each image's values by softmax(Q Kᵀ / √width).
///
/// - Parameters:
///   - product: `[B·T, 3·width]`: queries, keys and values without bias. It is added while the image's rows are at hand.
///   - bias: `[3·width]`.
///   - qkv: `[B·T, 3·width]`, with bias, for `attentionBackward`; may be `product`.
///   - scores: `[Q, T]`, scratch; not used in fp32, where they are in the probabilities' place.
///   - mixed: `[B·Q, width]`, overwritten.
///   - probabilities: `[B·H·Q, T]` for `attentionBackward`, or `[Q, T]` where nothing is kept.
func attention(
  _ product: Matrix, bias: Vector, into qkv: Factor, shape: AttentionShape, scores: Matrix, into mixed: Factor,
  probabilities: Factor, keeps: Bool
) {
  let (width, tokens) = (shape.width, shape.tokens)
  let queryBias = bias.vector(at: 0, count: width)
  let restOfBias = bias.vector(at: width, count: 2 * width)
  for image in 0..<shape.images {
    let (first, queried) = (image * tokens, image * tokens + shape.queries)
    addRow(
      queryBias, toRowsOf: product.rows(first..<queried).columns(0..<width),
      into: qkv.rows(first..<queried).columns(0..<width))
    addRow(
      restOfBias, toRowsOf: product.rows(first..<first + tokens).columns(width..<3 * width),
      into: qkv.rows(first..<first + tokens).columns(width..<3 * width))
    for head in 0..<shape.heads {
      let p = keeps ? shape.probabilities(probabilities, image: image, head: head) : probabilities
      let logits = p.floats ?? scores
      multiply(
        shape.query(qkv, image: image, head: head), .asIs, shape.key(qkv, image: image, head: head), .transposed,
        into: logits)
      softmaxRows(logits, scale: shape.scale, into: p)
      multiply(
        p, .asIs, shape.value(qkv, image: image, head: head), .asIs,
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
  _ qkv: Factor, probabilities: Factor, shape: AttentionShape, mixedGradient: Factor, scratch: Matrix,
  into gradient: Factor
) {
  let scoresGradient = scratch.factor(in: qkv.precision)
  for image in 0..<shape.images {
    for head in 0..<shape.heads {
      let p = shape.probabilities(probabilities, image: image, head: head)
      let dMixed = shape.result(mixedGradient, image: image, head: head)
      multiply(p, .transposed, dMixed, .asIs, into: shape.value(gradient, image: image, head: head))
      multiply(dMixed, .asIs, shape.value(qkv, image: image, head: head), .transposed, into: scratch)
      softmaxBackward(p, gradient: scratch, scale: shape.scale, into: scoresGradient)
      multiply(
        scoresGradient, .asIs, shape.key(qkv, image: image, head: head), .asIs,
        into: shape.query(gradient, image: image, head: head))
      multiply(
        scoresGradient, .transposed, shape.query(qkv, image: image, head: head), .asIs,
        into: shape.key(gradient, image: image, head: head))
    }
  }
}
