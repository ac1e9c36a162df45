"""The CRM's resources under `/public/`, one module each: filters, inputs and the viewset together."""
