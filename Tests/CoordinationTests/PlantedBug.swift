extension Simulation {
  /// A mistake put into the processes around the state machines, which the checks must find.
  enum PlantedBug {
    // MARK: The coordinator and its disk

    /// A payload that came twice is added twice.
    case countsDuplicatePushes
    /// A checkpoint is called durable when its writing begins.
    case reportsCheckpointsEarly
    /// A checkpoint has the step that an update begins, and the weights from before that update.
    case claimsStepsBeforeTheirUpdate
    /// What was said to the coordinator's last life counts in this one.
    case takesResultsOfOlderIncarnations
    /// A manifest has its name before the rows that it names are durable.
    case publishesManifestsBeforeTheirRows
    /// Rows go that the newest checkpoint does not need, though an older one that is kept does.
    case prunesRowsOfKeptCheckpoints
    /// A coordinator that lost its lock goes on writing.
    case ignoresLostLocks
    /// Going back is forgotten: the newest checkpoint is resumed, spoilt as it may be.
    case forgetsToRollBack
    /// That pictures are lost is not stored.
    case forgetsLostPictures
    /// A step that begins again keeps what it had.
    case keepsWhatWasBeforeANewBeginning
    /// The coordinator's own computing bears out whoever says that something is not finite.
    case bearsOutWhatIsNotFinite
    /// A ledger is called durable when its writing begins.
    case reportsLedgersEarly
    /// Nobody answered at a worker's address, and that is taken for an answer.
    case takesSilenceForAnAnswer

    /// A sum is added to the one of an older deal.
    case addsSumsOfTwoDeals

    // MARK: Workers

    /// A worker takes what an older incarnation says for the word of the one that it follows.
    case heedsOlderIncarnations
    /// A worker lets go of a gradient that it is to keep once the rest of its payload is pushed.
    case letsGoOfGradientsBeforeTheirSum

    /// A worker evaluates another teacher than the one that it was asked about.
    case evaluatesAnotherTeacher

    // MARK: Memory shards

    /// A shard says that it has an extent when it begins to copy it.
    case reportsCopiesEarly
    /// A shard takes an assignment for the newest, whenever it comes.
    case heedsOvertakenAssignments
    /// A shard that begins anew does not know which incarnation it followed.
    case forgetsWhomItFollowed
  }
}
