/// Stops the program when `condition` is false: the program itself is wrong, and going on would spread the damage.
///
/// Unlike `precondition` it stays in the targets built with `-Ounchecked`. Bad input never comes here: it throws.
@inlinable
@inline(__always)
public func invariant(
  _ condition: Bool, _ message: @autoclosure () -> String = "", file: StaticString = #fileID, line: UInt = #line
) {
  if !condition { fatalError("invariant broken: \(message())", file: file, line: line) }
}
