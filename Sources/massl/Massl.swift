import ArgumentParser

/// Flags in, exit code out.
@main
struct Massl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "massl",
    abstract: "Self-supervised pre-training of Vision Transformers with a memory.",
    subcommands: [
      TrainCommand.self, CoordinatorCommand.self, WorkerCommand.self, EvaluateCommand.self, SynthesizeCommand.self,
      VerifyCommand.self,
    ])
}
