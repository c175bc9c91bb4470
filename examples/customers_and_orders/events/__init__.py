"""The events, by the service that emits them: all that the services share."""
