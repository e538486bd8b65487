module rekindle.dev/artifacts/pause

go 1.26.0
