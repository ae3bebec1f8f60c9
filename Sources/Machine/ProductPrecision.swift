/// What a run's products multiply, by the name it has in a recipe.
public enum ProductPrecision: String, Sendable, CaseIterable {
  case fp32
  /// bfloat16, added up in floats.
  case bf16
}

/// How a class computes products of a precision.
public enum ProductSupport: Sendable, Equatable {
  case none
  /// In instructions for floats, slower than floats themselves.
  case emulated
  case native
}
