/// Where the factors of one head's products lie: attention's scratch, in the cache from one product to the next.
///
/// OpenBLAS reads heads where they are, as windows of queries, keys and values. oneDNN takes up to three times as long where
/// rows have gaps, or where tokens are no multiple of 32: in bf16 a head is copied, without gaps, and zeros follow its
/// tokens.
import Numerics

struct AttentionScratch {
  /// What a copy is of.
  enum Role: Int, CaseIterable {
    case query
    case key
    case value
    case mixed
    /// What a product gives, before it is brought to its window.
    case product
  }

  /// `[tokens, padded tokens]`, floats: scores, and then their gradient.
  let scores: Matrix
  /// By role, `[padded tokens, head width]`; none in fp32.
  private let copies: [Factor]

  /// Of so many tokens: how many a product reads.
  static func padded(tokens: Int, _ precision: Precision) -> Int {
    precision == .fp32 ? tokens : (tokens + 31) / 32 * 32
  }

  /// How many copies `init` takes.
  static func copyCount(_ precision: Precision) -> Int { precision == .fp32 ? 0 : Role.allCases.count }

  init(scores: Matrix, copies: [Factor]) {
    self.scores = scores
    self.copies = copies
  }

  /// A window as a product reads it, zeros behind its rows if they are padded.
  func factor(_ role: Role, _ window: Factor, isPadded: Bool = false) -> Factor {
    if copies.isEmpty { return window }
    let copied = copies[role.rawValue]
    copy(window, into: copied.rows(0..<window.rows))
    guard isPadded, window.rows < copied.rows else { return copied.rows(0..<window.rows) }
    clear(copied.rows(window.rows..<copied.rows))
    return copied
  }

  /// Has a product written to a window.
  /// - Parameter isPadded: whether the product has rows of padding, which are dropped.
  func write(_ window: Factor, isPadded: Bool = false, _ product: (Factor) -> Void) {
    if copies.isEmpty { return product(window) }
    let copied = copies[Role.product.rawValue]
    product(isPadded ? copied : copied.rows(0..<window.rows))
    copy(copied.rows(0..<window.rows), into: window)
  }
}
