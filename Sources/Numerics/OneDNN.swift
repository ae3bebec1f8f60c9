import COneDNN

/// The library behind `multiply` in bf16. It is loaded when it is first asked for: massl starts without it.
public enum OneDNN {
  /// "2.6.3"; nil where there is none that massl can use.
  public static var release: String? {
    let library = massl_onednn_open().pointee
    return library.state == massl_onednn_ready ? number(of: library) : nil
  }

  /// Whether `check` does not throw.
  public static var isUsable: Bool { (try? check()) != nil }

  /// - Throws: `OneDNNError` if products in bf16 cannot be computed here.
  public static func check() throws(OneDNNError) {
    let library = massl_onednn_open().pointee
    let detail = library.detail.map { String(cString: $0) } ?? ""
    switch library.state {
    case massl_onednn_ready: break
    case massl_onednn_missing: throw .missing(reason: detail)
    case massl_onednn_other_threads: throw .otherThreads(version: number(of: library))
    default: throw .unknown(version: number(of: library), lacks: detail)
    }
    let one = FloatBuffer(count: 1).factor(rows: 1, columns: 1, precision: .bf16)
    let product = Factor(FloatBuffer(count: 1).matrix(rows: 1, columns: 1))
    let status = answer(to: one, .asIs, one, .asIs, adding: .nothing, into: product)
    if status != 0 { throw .refuses(version: number(of: library), status: Int(status)) }
  }

  private static func number(of library: massl_onednn_library) -> String {
    "\(library.major).\(library.minor).\(library.patch)"
  }

  /// What a product is added to.
  enum Addend {
    case nothing
    /// What stands in its place.
    case result
    /// A row of floats, to each of its rows.
    case bias(Vector)
  }

  /// c = op(a) op(b) + addend.
  static func multiply(
    _ a: Factor, _ aTransposition: Transposition, _ b: Factor, _ bTransposition: Transposition, adding addend: Addend,
    into c: Factor
  ) {
    let status = answer(to: a, aTransposition, b, bTransposition, adding: addend, into: c)
    // What it cannot do was found out by `check`; what is left is memory.
    if status != 0 { fatalError("oneDNN did not multiply \(c.rows) x \(c.columns): status \(status)") }
  }

  private static func answer(
    to a: Factor, _ aTransposition: Transposition, _ b: Factor, _ bTransposition: Transposition, adding addend: Addend,
    into c: Factor
  ) -> Int32 {
    let (aStrides, bStrides) = (strides(a, aTransposition), strides(b, bTransposition))
    var product = massl_bf16_product()
    product.rows = Int64(c.rows)
    product.columns = Int64(c.columns)
    product.inner = Int64(aTransposition == .asIs ? a.columns : a.rows)
    (product.a_row, product.a_column) = aStrides
    (product.b_row, product.b_column) = bStrides
    product.c_row = Int64(c.stride)
    product.rounds = c.precision == .bf16 ? 1 : 0
    var bias: UnsafeMutablePointer<Float>?
    switch addend {
    case .nothing: product.addend = Int32(massl_bf16_nothing.rawValue)
    case .result: product.addend = Int32(massl_bf16_result.rawValue)
    case .bias(let row):
      product.addend = Int32(massl_bf16_bias.rawValue)
      bias = row.base
    }
    return massl_bf16_multiply(&product, a.address, b.address, bias, c.address)
  }

  /// Values from one row, and one column, of op(a) to the next.
  private static func strides(_ a: Factor, _ transposition: Transposition) -> (row: Int64, column: Int64) {
    transposition == .asIs ? (Int64(a.stride), 1) : (1, Int64(a.stride))
  }
}

/// Why products in bf16 cannot be computed.
public enum OneDNNError: Error, Equatable, CustomStringConvertible {
  /// There is no libdnnl; `reason` in the system's words.
  case missing(reason: String)
  /// Of another major version, or without a function.
  case unknown(version: String, lacks: String)
  /// Built for TBB or another runtime, which has threads of its own.
  case otherThreads(version: String)
  /// The library answers that it cannot, as on a processor without AVX-512.
  case refuses(version: String, status: Int)

  public var description: String {
    switch self {
    case .missing(let reason):
      return "precision bf16 multiplies by oneDNN, which cannot be loaded: \(reason). Install it (Debian and Ubuntu: "
        + "libdnnl3; Debian 12: libdnnl2), or use precision fp32."
    case .unknown(let version, let lacks):
      let what = lacks.isEmpty ? "" : ": it has no '\(lacks)'"
      return "oneDNN \(version) is none that massl knows\(what). Install version 2 or 3 (Debian and Ubuntu: libdnnl3; "
        + "Debian 12: libdnnl2), or use precision fp32."
    case .otherThreads(let version):
      return
        "oneDNN \(version) as it is installed has threads of its own, so its sums would round by who else computes. "
        + "Install one that was built with OpenMP, as Debian's libdnnl3 and libdnnl2 are, or use precision fp32."
    case .refuses(let version, let status):
      return "oneDNN \(version) does not multiply bf16 on this processor (status \(status)). It needs AVX-512: use "
        + "another machine, or precision fp32."
    }
  }
}
