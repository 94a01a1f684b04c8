module predictiondex/probe

go 1.24.0
